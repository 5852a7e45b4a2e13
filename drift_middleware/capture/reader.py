"""Reader: `read` with a memory of what each endpoint was seen to send.

One thread owns it; any other may ask for its `report`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from drift_middleware.capture.endpoints import Described, described
from drift_middleware.capture.extractors import EXTRACTORS, Extract, extracted
from drift_middleware.capture.flat import RECORD, Flat, Flats
from drift_middleware.capture.formats import FORMATS
from drift_middleware.capture.mapping import detected
from drift_middleware.capture.outputs import flatten
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.capture.records import dotted
from drift_middleware.schemas import Endpoint, EndpointReport, Exchange, Headers, Rows

PINNED_AFTER = 5
"exchanges of one format, after which it is tried first"
MAX_ENDPOINTS = 1000
MAX_PATHS = 10_000
MOST_NAMES = 20
LONGEST_NAME = 100
MOST_REPORTED = 50
OTHERS = "*"
# A format that takes any record would take those of others too: it is tried in its turn.
TRIED_FIRST = {each.name for each in FORMATS if each.keys}
NO_TABLE: tuple[None, Mapping[str, str]] = (None, {})


class Known(Struct):
    """What is known of one endpoint and content type."""

    endpoint: str
    content_type: str
    format: str = ""
    agreed: int = 0
    "exchanges in a row that had this format, up to as many as pin it"
    is_tried_first: bool = False
    "the format is"
    flat: Flat | None = None
    "the record that it is always asked with"
    misfits: int = 0
    "exchanges in a row that had another"
    patience: int = PINNED_AFTER
    "how many of them make it known anew"
    changes: int = 0
    "how often the format became another"
    requests: int = 0
    rows: int = 0
    unaligned: int = 0
    fields: dict[str, None] = {}
    outputs: dict[str, None] = {}
    skipped: Counter[str] = field(default_factory=Counter)

    def read_flat(self, exchange: Exchange) -> Rows | None:
        """Read the record that is always asked; None if this is another."""
        if self.flat is None or self.format != RECORD:
            return None
        rows = self.flat.read(exchange)
        if rows is not None:
            self.misfits = 0
            self.requests += 1
            self.rows += 1
            self.unaligned += rows.unaligned
        return rows

    def note(self, rows: Rows, flats: Flats) -> None:
        """Learn from what was read."""
        self.requests += 1
        if rows.skipped is not None:
            self.skipped[rows.skipped] += 1
            return
        self.rows += len(rows.features)
        if rows.unaligned:
            self.unaligned += 1
        if self.agreed < PINNED_AFTER or rows.format != self.format:
            self._agree(rows)
        if self.agreed == PINNED_AFTER:
            self._know_record(rows, flats)

    def _agree(self, rows: Rows) -> None:
        if rows.format != self.format:
            self.changes += self.format != ""
            self.format, self.agreed = rows.format, 0
        if self.endpoint != OTHERS:
            self.agreed += 1
        self.is_tried_first = self.agreed == PINNED_AFTER and self.format in TRIED_FIRST
        self._note_names(rows)

    def _know_record(self, rows: Rows, flats: Flats) -> None:
        """Know the record that is always asked by one of them, or by one after many others."""
        self.misfits += 1
        if self.misfits >= self.patience:
            # A decoder costs a hundred exchanges: where records differ, make few.
            self.misfits, self.patience = 0, 2 * self.patience
            self.flat = flats.of(rows.features[0]) if rows.format == RECORD else None

    def _note_names(self, rows: Rows) -> None:
        first = rows.features[0]
        if type(first) is dict:
            _add(self.fields, dotted(first))
        if rows.predictions:
            _add(self.outputs, flatten(rows.predictions[0]))

    def report(self) -> EndpointReport:
        """Copy what is known."""
        return EndpointReport(
            endpoint=self.endpoint,
            content_type=self.content_type,
            format=self.format,
            pinned=self.agreed == PINNED_AFTER,
            changes=self.changes,
            requests=self.requests,
            rows=self.rows,
            fields=list(self.fields),
            outputs=list(self.outputs),
            skipped=dict(self.skipped),
            unaligned=self.unaligned,
        )


class Reader:
    """Reads exchanges, each by what was known of its endpoint.

    Parameters
    ----------
    columns
        The features that are watched, once they are known; may be set anew at any time.
    endpoints
        The tables `[[endpoint]]`.
    extractors
        By name, in the order in which they are asked; None: those that are registered.

    Raises
    ------
    ConfigError
        A table is impossible.
    """

    def __init__(
        self,
        columns: Sequence[str] = (),
        *,
        endpoints: Sequence[Endpoint] = (),
        extractors: Mapping[str, Extract] | None = None,
    ) -> None:
        self.columns = columns
        self._tables = described(endpoints)
        self._extractors = EXTRACTORS if extractors is None else extractors
        self._known: dict[tuple[str, bytes], Known] = {}
        self._others = Known(OTHERS, OTHERS)
        self._flats = Flats()
        self._of_path: dict[tuple[str, str], tuple[Described | None, Mapping[str, str]]] = {}

    def read(self, exchange: Exchange) -> Rows:
        """Find the rows of one exchange and their predictions.  Never raises."""
        try:
            table, path_params = self._table_of(exchange) if self._tables else NO_TABLE
            endpoint = exchange.endpoint if table is None else table.path
            key = endpoint, _content_type(exchange.request_headers)
            known = self._known.get(key) or self._meet(key, exchange)
            if table is None and self.columns and not self._extractors:
                flat = known.read_flat(exchange)
                if flat is not None:
                    return flat
            first = known.format if known.is_tried_first else None
            if table is not None:
                rows = table.read(exchange, path_params, self.columns, first)
            else:
                asked = self._asked(exchange) if self._extractors else None
                rows = asked if asked is not None else detected(exchange, self.columns, first)
            known.note(rows, self._flats)
        except Exception:  # noqa: BLE001 - headers too are anybody's
            return Rows(skipped=Reason.UNREADABLE.value)
        return rows

    def report(self) -> list[EndpointReport]:
        """Copy what is known, the most requested first.  From any thread."""
        known = [one for one in (*list(self._known.values()), self._others) if one.requests]
        known.sort(key=lambda one: -one.requests)
        return [one.report() for one in known[:MOST_REPORTED]]

    def _table_of(self, exchange: Exchange) -> tuple[Described | None, Mapping[str, str]]:
        path = exchange.path, exchange.route
        found = self._of_path.get(path)
        if found is None:
            matches = ((table, table.match(*path)) for table in self._tables)
            found = next(
                ((table, names) for table, names in matches if names is not None), NO_TABLE
            )
            if len(self._of_path) >= MAX_PATHS:  # a path for every id: keep memory flat
                self._of_path.clear()
            self._of_path[path] = found
        return found

    def _meet(self, key: tuple[str, bytes], exchange: Exchange) -> Known:
        """Begin to know an endpoint, if there is room.

        Who tries paths at random gets no answer, and takes no room.
        """
        is_there = exchange.route or 200 <= exchange.status < 300
        if not is_there or len(self._known) >= MAX_ENDPOINTS:
            return self._others
        endpoint, content_type = key
        essence = content_type.decode("latin-1")
        return self._known.setdefault(key, Known(endpoint, essence))

    def _asked(self, exchange: Exchange) -> Rows | None:
        """Ask the extractors whose exchange this is."""
        if not 200 <= exchange.status < 300:
            return None
        for name, extract in [*self._extractors.items()]:
            try:
                rows = extracted(extract, name, exchange, {})
            except SkipError:  # it looked for JSON where there is none
                continue
            if rows is not None:
                return rows
        return None


def _content_type(headers: Headers) -> bytes:
    for name, value in headers:
        # Names come in any case; their length is the cheaper test.
        if len(name) == 12 and name.lower() == b"content-type":
            return _essence(value)
    return b""


def _essence(value: bytes) -> bytes:
    if value == b"application/json":  # nearly always
        return value
    return value.partition(b";")[0].strip().lower()[:LONGEST_NAME]


def _add(known: dict[str, None], names: Mapping[str, object]) -> None:
    for name in names:
        if len(known) >= MOST_NAMES:
            return
        known[str(name)[:LONGEST_NAME]] = None
