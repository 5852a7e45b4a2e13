"""What a client would rather read."""

from __future__ import annotations

from collections.abc import Iterable

PAGE, JSON = "text/html", "application/json"


def prefers_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a client asks for HTML, by name, more than for JSON.

    A browser does; `*/*`, which programs send, does not, nor does one that likes both the same.
    """
    given = b",".join(value for name, value in headers if name == b"accept").decode("latin-1")
    wanted = dict(_quality(part) for part in given.split(","))
    page = wanted.get(PAGE, 0.0)
    if JSON in wanted:
        return page > wanted[JSON]
    return page > 0 and page >= wanted.get("application/*", wanted.get("*/*", 0.0))


def _quality(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(value)
            except ValueError:
                return kind, 0.0
    return kind, 1.0
