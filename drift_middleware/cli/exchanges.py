"""Exchanges out of files: HAR, as browsers and proxies export it, or our own recordings.

A recording is a JSON list of objects with `method`, `path`, `query`, `status`, and headers and
bodies of both sides; a body is `{"text": ...}` or `{"b64": ...}`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from drift_middleware.errors import DriftError
from drift_middleware.schemas import Exchange, Headers

SUFFIXES = (".har", ".json")
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, binascii.Error)
# Programs that export HAR undo the encoding of the body, and keep the header that names it.
STILL_ENCODED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


class ExchangeError(DriftError):
    """A file holds no exchanges that can be read."""


def load(path: Path, max_body_bytes: int) -> list[Exchange]:
    """Read the exchanges of a file, or of the files of a folder.

    Raises
    ------
    ExchangeError
        There are none, or one is malformed; the message names the file.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            msg = f"{path} holds no file that ends in {' or '.join(SUFFIXES)}."
            raise ExchangeError(msg)
        return [exchange for file in files for exchange in load(file, max_body_bytes)]
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise ExchangeError(msg) from None
    except (ValueError, RecursionError):
        msg = f"{path} is not JSON."
        raise ExchangeError(msg) from None
    return [_bounded(exchange, max_body_bytes) for exchange in _exchanges(path, found)]


def _exchanges(path: Path, found: Any) -> Iterator[Exchange]:
    if isinstance(found, Mapping) and isinstance(found.get("log"), Mapping):
        entries, build = found["log"].get("entries", []), _of_har
    elif isinstance(found, list):
        entries, build = found, _of_recording
    else:
        msg = f'{path} is neither HAR ({{"log": {{"entries": [...]}}}}) nor a list of exchanges.'
        raise ExchangeError(msg)
    for number, entry in enumerate(entries):
        try:
            yield build(entry)
        except MALFORMED as error:
            msg = f"{path}: entry {number} is no exchange: {type(error).__name__} {error}."
            raise ExchangeError(msg) from None


def _bounded(exchange: Exchange, max_body_bytes: int) -> Exchange:
    """Drop bodies over the limit, as the middleware does."""
    for name in ("request_body", "response_body"):
        if len(getattr(exchange, name)) > max_body_bytes:
            setattr(exchange, name, b"")
            exchange.truncated = True
    return exchange


def _of_recording(entry: Mapping[str, Any]) -> Exchange:
    return Exchange(
        method=entry["method"].upper(),
        path=entry["path"],
        route=entry.get("route") or "",
        query=(entry.get("query") or "").encode(),
        request_headers=_headers(entry.get("request_headers") or {}),
        request_body=_body(entry.get("request_body")),
        status=int(entry["status"]),
        response_headers=_headers(entry.get("response_headers") or {}),
        response_body=_body(entry.get("response_body")),
    )


def _of_har(entry: Mapping[str, Any]) -> Exchange:
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    sent, content = request.get("postData") or {}, response.get("content") or {}
    asked, answer = _sent(sent), _text(content)
    return Exchange(
        method=request["method"].upper(),
        path=url.path or "/",
        query=url.query.encode(),
        request_headers=_har_headers(request, sent, asked),
        request_body=asked,
        status=int(response["status"]),
        response_headers=_har_headers(response, content, answer),
        response_body=answer,
    )


def _sent(data: Mapping[str, Any]) -> bytes:
    """Give a posted body; a form may come as its fields alone."""
    if data.get("text") is None and data.get("params"):
        return urlencode([(one["name"], one.get("value", "")) for one in data["params"]]).encode()
    return _text(data)


def _text(content: Mapping[str, Any]) -> bytes:
    text = content.get("text") or ""
    if content.get("encoding") == "base64":
        return base64.b64decode(text)
    return str(text).encode("utf-8", "surrogatepass")


def _har_headers(side: Mapping[str, Any], content: Mapping[str, Any], body: bytes) -> Headers:
    pairs = [(str(one["name"]).lower(), str(one["value"])) for one in side.get("headers") or []]
    names = {name for name, _ in pairs}
    if "content-type" not in names and content.get("mimeType"):
        pairs.append(("content-type", content["mimeType"]))
    is_encoded = body.startswith(STILL_ENCODED)
    return _headers([pair for pair in pairs if is_encoded or pair[0] != "content-encoding"])


def _headers(given: Any) -> Headers:
    pairs = given.items() if isinstance(given, Mapping) else given
    return [(str(name).lower().encode(), str(value).encode()) for name, value in pairs]


def _body(given: Any) -> bytes:
    if given is None:
        return b""
    if isinstance(given, str):
        return given.encode()
    if given.get("b64") is not None:
        return base64.b64decode(given["b64"])
    return str(given.get("text") or "").encode()
