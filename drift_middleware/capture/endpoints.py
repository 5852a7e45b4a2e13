"""Endpoints: the tables `[[endpoint]]` of the options, checked at start and matched by path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from drift_middleware.capture.extractors import EXTRACTORS, Extract, extracted, function_at
from drift_middleware.capture.formats import BY_NAME
from drift_middleware.capture.locations import MisfitError
from drift_middleware.capture.mapping import AUTO, Mapped
from drift_middleware.capture.read import read
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.errors import ConfigError
from drift_middleware.schemas import Endpoint, Exchange, Rows

DOES_NOT_FIT = "mapping does not fit"
"reason for an exchange that is not as the options say"
_hole = re.compile(r"\{([A-Za-z_]\w*)(:path)?\}")


class Described:
    """One table, ready for use.

    Raises
    ------
    ValueError
        Something in it cannot be; the message begins with the key.
    """

    def __init__(self, table: Endpoint) -> None:
        self.path = table.path
        self._match = _template(table.path).fullmatch
        self._extract = _extract_of(table)
        self._mapped = Mapped(table)
        used = [
            key
            for key, name in zip(
                table.__struct_encode_fields__, table.__struct_fields__, strict=True
            )
            if "." in key and getattr(table, name)
        ]
        if self._extract is not None and used:
            msg = f"{used[0]} does nothing where an extractor gives the rows: leave one of them out"
            raise ValueError(msg)
        if table.format != AUTO and table.request_rows is not None:
            msg = f"request.rows says what format={table.format!r} would: leave one of them out"
            raise ValueError(msg)

    def match(self, path: str, route: str) -> dict[str, str] | None:
        """Say what the path has where the template has names; None if it is no such path."""
        found = self._match(path)
        if found is not None:
            return found.groupdict()
        return {} if route == self.path else None

    def read(
        self,
        exchange: Exchange,
        path_params: Mapping[str, str],
        columns: Sequence[str] = (),
        pinned: str | None = None,
    ) -> Rows:
        """Find the rows of one exchange.  Never raises."""
        if not 200 <= exchange.status < 300:
            return read(exchange)  # which says so
        try:
            if self._extract is None:
                return self._mapped.read(exchange, path_params, columns, pinned)
            rows = extracted(*self._extract, exchange, path_params)
            return Rows(skipped=Reason.NOT_A_PREDICTION.value) if rows is None else rows
        except MisfitError:
            reason = DOES_NOT_FIT
        except SkipError as skip:
            reason = skip.reason.value
        except RecursionError:
            reason = Reason.TOO_DEEP.value
        except Exception:  # noqa: BLE001 - as in `read`: the bytes are anybody's
            reason = Reason.UNREADABLE.value
        return Rows(skipped=reason)


def described(tables: Sequence[Endpoint]) -> list[Described]:
    """Check the tables, and make them ready for use.

    Raises
    ------
    ConfigError
        One of them is impossible; the message names it, its key and what is allowed.
    """
    found: list[Described] = []
    for i, table in enumerate(tables):
        try:
            if any(table.path == other.path for other in found):
                msg = "another table has this path: put their keys together"
                raise ValueError(msg)  # noqa: TRY301 - all that is wrong with a table is said below
            found.append(Described(table))
        except ValueError as error:
            msg = f"endpoint[{i}] ({table.path}): {error}."
            raise ConfigError(msg) from error
    return found


def _template(path: str) -> re.Pattern[str]:
    literals = _hole.sub("", path)
    names = [name for name, _ in _hole.findall(path)]
    if not path.startswith("/") or "{" in literals or "}" in literals:
        msg = f"path={path!r} must be a template such as '/v1/models/{{model}}:predict'"
        raise ValueError(msg)
    if len({*names}) < len(names):
        msg = f"path={path!r} has a name twice"
        raise ValueError(msg)
    pattern, end = "", 0
    for hole in _hole.finditer(path):
        pattern += re.escape(path[end : hole.start()])
        pattern += f"(?P<{hole[1]}>{'.+' if hole[2] else '[^/]+'})"
        end = hole.end()
    return re.compile(pattern + re.escape(path[end:]), re.DOTALL)


def _extract_of(table: Endpoint) -> tuple[Extract, str] | None:
    """Find the extractor that a table names, or say that its format is none."""
    if table.extract is not None:
        try:
            return function_at(table.extract), table.extract
        except ValueError as error:
            msg = f"extract={table.extract!r} {error}"
            raise ValueError(msg) from error
    if table.format in EXTRACTORS:
        return EXTRACTORS[table.format], table.format
    known = [AUTO, *BY_NAME, *EXTRACTORS]
    if table.format not in known:
        near = get_close_matches(table.format, known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"format={table.format!r} is unknown.{hint} Known: {', '.join(known)}"
        raise ValueError(msg)
    return None
