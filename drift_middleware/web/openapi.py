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
    "503": "The buffer cannot be read",
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


RECORDS = (Report, History, SignalDetail, Refusal)


def document(route: str, *, needs_token: bool, version: str) -> dict[str, Any]:
    """Describe the routes below `route`."""
    schemas, components = msgspec.json.schema_components(
        RECORDS, ref_template="#/components/schemas/{name}"
    )
    report, history, signal, refusal = schemas
    errors = {
        code: {"description": text, "content": {JSON: {"schema": refusal}}}
        for code, text in ERRORS.items()
    }
    limit = _query("limit", {"type": "integer", "minimum": 0, "default": 100}, "How many checks")
    page = {HTML: {"schema": {"type": "string"}}}
    metrics = {kind: {"schema": {"type": "string"}} for kind in (PROMETHEUS, OPEN_METRICS)}
    paths = {
        "": _get("What moved, how far, and why", {JSON: {"schema": report}, **page}, _stretch()),
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
    }
    for operation in paths.values():
        operation["get"]["responses"] |= errors
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "drift_middleware", "version": version or "0"},
        "paths": {f"{route}{path}": operation for path, operation in paths.items()},
        "components": {"schemas": components},
    }
    if needs_token:
        scheme = {"type": "http", "scheme": "bearer"}
        described["components"]["securitySchemes"] = {"token": scheme}
        described["security"] = [{"token": []}]
    return described


def _get(summary: str, content: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    answer = {"description": summary, "content": content}
    return {"get": {"summary": summary, "parameters": parameters, "responses": {"200": answer}}}


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


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
