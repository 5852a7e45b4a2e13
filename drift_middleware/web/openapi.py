"""OpenAPI: what the routes take and give, made of the records that they give."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from drift_middleware.schemas import Check, Report, Severity, SignalReport

JSON = "application/json"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
HTML = "text/html; charset=utf-8"
ERRORS = {
    "400": "What was asked for is impossible",
    "401": "The token is missing, or another",
    "404": "There is no such thing",
    "500": "A fault of the middleware's own",
    "503": "The buffer cannot be read",
}
REFUSALS = ERRORS | {
    "403": "Changing is off, for there is no token",
    "409": "Not now: there is no baseline yet, or there are no rows to make one of",
    "503": "The buffer cannot be written",
}


class History(Struct):
    """Answer of `/history`."""

    checks: list[Check]


class SignalLine(Struct):
    """What one check said of one signal."""

    check: int
    at: str
    severity: Severity
    moved: float
    at_least: float
    evidence: float


class SignalDetail(SignalReport, kw_only=True):
    """Answer of `/signals/{name}`."""

    history: list[SignalLine]


class Refusal(Struct):
    """Answer of whatever fails."""

    error: str


Content = dict[str, Any]
Parameters = list[dict[str, Any]]
Operations = dict[str, dict[str, Any]]
RECORDS = (Report, History, SignalDetail, Refusal)


def document(route: str, *, needs_token: bool, version: str) -> dict[str, Any]:
    """Describe the routes below `route`."""
    schemas, components = msgspec.json.schema_components(
        RECORDS, ref_template="#/components/schemas/{name}"
    )
    *answers, refusal = schemas
    paths = _paths(*answers)
    for operations in paths.values():
        for method, operation in operations.items():
            failures = ERRORS if method == "get" else REFUSALS
            operation["responses"] |= {
                code: {"description": text, "content": {JSON: {"schema": refusal}}}
                for code, text in failures.items()
            }
    scheme = {"type": "http", "scheme": "bearer", "description": "The option `token`"}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "drift_middleware", "version": version or "0"},
        "paths": {f"{route}{path}": operations for path, operations in paths.items()},
        "components": {"schemas": components, "securitySchemes": {"token": scheme}},
    }
    if needs_token:
        described["security"] = [{"token": []}]
    return described


def _paths(report: Content, history: Content, signal: Content) -> dict[str, Operations]:
    """Describe what each route takes, and gives if all is well; given the schemas of these."""
    page = {HTML: {"schema": {"type": "string"}}}
    told = {JSON: {"schema": report}, **page}
    metrics = {kind: {"schema": {"type": "string"}} for kind in (PROMETHEUS, OPEN_METRICS)}
    limit = _query(
        "limit",
        {"type": "integer", "minimum": 0, "default": 100},
        "How many checks; more than 1,000 are 1,000",
    )
    return {
        "": _get("What moved, how far, and why", told, _stretch()),
        "/history": _get(
            "A line for each check, the newest first",
            {JSON: {"schema": history}, **page},
            [limit, _query("before", {"type": "integer"}, "Only checks numbered below it")],
        ),
        "/signals/{name}": _get(
            "One signal, with its history", {JSON: {"schema": signal}, **page}, [_name(), limit]
        ),
        "/metrics": _get("For Prometheus", metrics, []),
        "/openapi.json": _get("This document", {JSON: {"schema": {"type": "object"}}}, []),
        "/check": _post("Check what is pending now, and report", told, []),
        "/reset": _post("Start the detector afresh, and report", told, []),
        "/baseline": _post("Take the newest rows as the baseline, and report", told, [_rows()]),
    }


def _get(summary: str, content: Content, parameters: Parameters) -> Operations:
    answer = {"description": summary, "content": content}
    return {"get": {"summary": summary, "parameters": parameters, "responses": {"200": answer}}}


def _post(summary: str, content: Content, parameters: Parameters) -> Operations:
    """Describe what changes something: it needs the token, and is off without one."""
    operation = _get(summary, content, parameters)["get"]
    return {"post": operation | {"security": [{"token": []}]}}


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _rows() -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 200, "maximum": 10_000}
    return _query("rows", schema, "How many; by default `learn_rows`, or as many as there are")


def _name() -> dict[str, Any]:
    text = "Its name, percent-encoded; it may have slashes"
    schema = {"type": "string"}
    return {"name": "name", "in": "path", "required": True, "schema": schema, "description": text}


def _stretch() -> list[dict[str, Any]]:
    text = {"type": "string"}
    return [
        _query("window", {**text, "pattern": "^[0-9]+[mhdw]$"}, "Sum the history, so far back"),
        _query("since", text, "Or from then on, ISO 8601"),
        _query("until", text, "Until then, if not until now"),
        _query("segment", text, "Speak of one segment"),
    ]
