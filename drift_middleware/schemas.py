"""The records that pass between rooms: bytes, rows, tallies, reports.  No I/O, no logic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Severity = Literal["unknown", "none", "low", "medium", "high"]
Status = Literal["learning", "warming up", "watching", "degraded", "off"]
Role = Literal["feature", "prediction"]
Kind = Literal["ordered", "categorical"]
ColumnKind = Literal["number", "category", "text", "time", "vector"]
AlertKind = Literal["change", "repeat", "recovery"]
Headers = list[tuple[bytes, bytes]]

SEVERITIES: tuple[Severity, ...] = ("none", "low", "medium", "high")


class Exchange(Struct, gc=False):
    """One request and its response, as bytes."""

    method: str
    path: str
    route: str = ""
    "the path template that the app matched (`/models/{name}`), if it says so"
    query: bytes = b""
    request_headers: Headers = []
    request_body: bytes = b""
    status: int = 200
    response_headers: Headers = []
    response_body: bytes = b""
    at: float = 0.0
    "seconds since the epoch; of live traffic to a quarter of a second, in which it is gathered"
    seconds: float = 0.0
    "from the request to the end of its response; 0 for live traffic, where it is not measured"
    truncated: bool = False
    "a body was over the limit: it is not read, and may not be here whole"

    @property
    def endpoint(self) -> str:
        """The path template that the app matched, or the path where it says none."""
        return self.route or self.path

    @property
    def size(self) -> int:
        """Bytes of both bodies."""
        return len(self.request_body) + len(self.response_body)


class Rows(Struct, gc=False):
    """What one exchange says: a row for each thing that the model was asked about."""

    features: Sequence[Any] = []
    "one dict a row; a list (or a bare value) where the payload is positional"
    predictions: Sequence[Any] | None = None
    "one a row, as the server sent it; None where there are none or they do not line up"
    format: str = ""
    skipped: str | None = None
    "why there are no rows, from a closed set of reasons"
    unaligned: bool = False
    "there were predictions, but not one for each row"
    names: tuple[str, ...] | None = None
    "of the values of a row, where features are tuples"


class Endpoint(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename=lambda name: name.replace("_", ".", 1),
):
    """A table `[[endpoint]]`: what nobody can tell from the bytes of one path.

    Its keys are written with a point: `request.rows`.  A location is a JSON Pointer when it begins
    with `/`, else a path as `instances[].data`, where `[]` is each of these.
    """

    path: str
    "path template: `/v1/models/{model}:predict`; `{name:path}` takes slashes too"
    format: str = "auto"
    "name of the format, or of an extractor, where detection shall not decide"
    extract: str | None = None
    "a function that gives the rows: `package.module:function`"
    request_rows: str | None = None
    "location of the rows in the request"
    request_features: tuple[str, ...] = ()
    "the features to take; of rows that are lists, the names of all values in order"
    request_ignore: tuple[str, ...] = ()
    "names or pointers, within a row, of what is no feature"
    response_prediction: str | None = None
    "location of the predictions in the response"
    response_label: str | None = None
    response_probability: str | None = None
    "location of a probability, or of a list of them"
    response_classes: tuple[str | int, ...] = ()
    "names of the classes, in the order of the probabilities and the numbers of the labels"
    align: Annotated[str, Meta(pattern="^(index|none|key:/.+)$")] = "index"
    "what brings rows and predictions together: their order, a key of both as `key:/id`, nothing"
    kind: Literal["classification", "regression"] | None = None
    "classification: a number that is predicted names a class; regression: a list is no classes"


class Table(Struct):
    """Rows of several exchanges side by side, by column."""

    rows: int = 0
    columns: dict[str, list[Any]] = {}
    "each of length `rows`; None where a row has no value"
    outputs: set[str] = set()
    "the columns that came from predictions"
    predicted: list[bool] = []
    "of each row: does it have a prediction?"
    requests: list[int] = []
    "rows of each captured request, in order of arrival; they sum to `rows`"
    at: list[float] = []
    "arrival of each captured request, seconds since the epoch"

    @property
    def row_times(self) -> list[float]:
        """Arrival of each row."""
        return list(chain.from_iterable(map(repeat, self.at, self.requests)))

    def role(self, name: str) -> Role:
        """Tell the side from which a column came."""
        return "prediction" if name in self.outputs else "feature"


class Tally(Struct, eq=False):
    """How many rows fell in each cell, in one time slice of a check."""

    slice: int
    "tenth of the check that these rows belong to, 0 to 9"
    requests: int
    rows: int
    counts: NDArray[np.int64]
    "one for each place of the layout of all signals; then maybe those of the pairs of columns, for"
    " these rows or for all that were written with them"
    segment: str = ""
    "whose rows these are; empty: everybody's"

    def add(self, other: Tally) -> None:
        """Add rows of the same slice."""
        self.requests += other.requests
        self.rows += other.rows
        longer, shorter = self.counts, other.counts  # one may have no pairs
        if len(longer) < len(shorter):
            longer, shorter = shorter, longer
        self.counts = longer.copy()
        self.counts[: len(shorter)] += shorter


class SegmentCheck(Struct):
    """What a check says of one segment."""

    rows: int
    severity: Severity
    data: Severity
    prediction: Severity
    moved: dict[str, Severity]
    "the signals that are above none"


class Check(Struct, kw_only=True):
    """One line of the history."""

    number: int
    at: str
    "ISO 8601, UTC"
    requests: int
    rows: int
    milliseconds: float = 0.0
    severity: Severity = "unknown"
    data: Severity = "unknown"
    prediction: Severity = "unknown"
    moved: dict[str, Severity] = {}
    "the signals that are above none"
    segments: dict[str, SegmentCheck] = {}
    "those that had rows"


class Alarm(Struct):
    """What people were last told of all traffic, or of one segment."""

    severity: Severity
    at: float
    "when, seconds since the epoch"


class AlertSignal(Struct):
    """A signal that an alert names."""

    name: str
    severity: Severity
    moved: float
    at_least: float
    why: str


class Alert(Struct, kw_only=True):
    """What people are told: the body of a webhook."""

    id: str
    "the same however often it is sent"
    kind: AlertKind
    severity: Severity
    previous: Severity
    segment: str | None = None
    "whose severity it is; null: that of all traffic"
    signals: list[AlertSignal] = []
    "those that moved, the worst first, no more than ten"
    check: Check
    host: str = ""
    "the machine that made the check"
    path: str = "/_drift"
    "where there is more to see"


class AlertsReport(Struct, kw_only=True):
    """What became of the alerts."""

    sent: int = 0
    failed: int = 0
    "attempts that failed"
    given_up: int = 0
    "alerts that nobody got"
    pending: int = 0
    last_error: str | None = None
    "of the newest alert that failed, if one of those that are kept did"


class CheckInfo(Struct):
    """The check that a report speaks of."""

    number: int
    at: str
    requests: int
    rows: int
    milliseconds: float


class BaselineInfo(Struct):
    """The baseline that a report compares with."""

    source: str
    rows: int
    fingerprint: str
    smallest_shift: float
    "smallest mean shift of one ordered feature that can ever be noticed, in standard deviations"
    left_out: dict[str, str] = {}
    "columns of the baseline that are not watched, and why"
    kept: dict[str, str] = {}
    "columns that are compared with the baseline before this one still, and why"


class CellShare(Struct):
    """One cell of a signal: its share of the baseline's rows and of the live ones."""

    cell: str
    baseline: float
    live: float


class SignalReport(Struct, kw_only=True):
    """What is known of one signal."""

    name: str
    column: str
    role: Role
    kind: Kind
    severity: Severity
    moved: float
    "share of traffic that moved (or the value of the chosen policy), less what chance gives"
    at_least: float
    "lower bound of `moved`"
    evidence: float
    "natural logarithm of the evidence of a change, against its alarm line at 0"
    changed: bool
    "the alarm line was crossed, however small the change"
    since_check: int | None = None
    "the check in which the change began"
    effective_rows: int = 0
    "live rows that this speaks of, those since the change or the last few thousand; rows that \
    depend on each other count for fewer"
    distances: dict[str, float] = {}
    by_chance: dict[str, float] = {}
    "what each distance would be if nothing had changed"
    missing: tuple[float, float] = (0.0, 0.0)
    "share of rows without a value: baseline, live"
    unseen: float = 0.0
    "share of live values outside of everything that the baseline showed"
    cells: list[CellShare] = []
    why: str = ""


class WindowSignal(Struct, kw_only=True):
    """One signal over a stretch of the history, compared with the baseline; it raises nothing."""

    name: str
    rows: int
    "rows of this signal, with or without a value"
    distances: dict[str, float] = {}
    by_chance: dict[str, float] = {}
    "what each distance would be if nothing had changed and no row depended on another"
    missing: tuple[float, float] = (0.0, 0.0)
    "share of rows without a value: baseline, live"
    unseen: float = 0.0
    "share of live values outside of everything that the baseline showed"
    cells: list[CellShare] = []


class WindowReport(Struct, kw_only=True):
    """The sums of the checks that were made in a stretch of time."""

    since: str | None = None
    "when the first of these checks was made, ISO 8601, UTC; None if there was none"
    until: str | None = None
    "when the last one was"
    checks: int = 0
    requests: int = 0
    rows: int = 0
    note: str | None = None
    "why checks of that time are left out"
    signals: list[WindowSignal] = []
    "those that were captured, the most moved first"


class EndpointReport(Struct, kw_only=True):
    """What one process has seen of an endpoint.  Names, never values."""

    endpoint: str
    "path template that the app matched, or that the options name; else the path; `*`: all others"
    content_type: str
    format: str = ""
    "as it was recognised last"
    pinned: bool = False
    "recognised so often that it is tried first"
    changes: int = 0
    "how often it became another"
    requests: int = 0
    rows: int = 0
    fields: list[str] = []
    "some of the features' names"
    outputs: list[str] = []
    "some of the predictions' names"
    skipped: dict[str, int] = {}
    unaligned: int = 0


class CaptureReport(Struct, kw_only=True):
    """What was captured, and what was not: by all processes, but for `endpoints`."""

    requests: int = 0
    "captured requests"
    rows: int = 0
    skipped: dict[str, int] = {}
    unaligned: int = 0
    dropped: int = 0
    "exchanges for which there was no room"
    sampled_out: int = 0
    "exchanges that were left out at random, as `max_per_second` wants it"
    sampled: float = 1.0
    "share of exchanges that were neither, of those since the last check but one"
    errors: int = 0
    lag_seconds: float = 0.0
    queued: int = 0
    "exchanges that wait to be read, in this process"
    added_microseconds: dict[str, float] = {}
    "what the middleware added to requests, in this process: `p50` and `p99` of a few of them"
    database_bytes: int = 0
    "with its log"
    endpoints: list[EndpointReport] = []
    "what the process that answers has read since it started, most requested first"


class Report(Struct, kw_only=True):
    """The answer of `GET /_drift`."""

    severity: Severity = "unknown"
    data: Severity = "unknown"
    prediction: Severity = "unknown"
    status: Status = "warming up"
    since: str | None = None
    "when the severity became what it is, ISO 8601, UTC"
    reason: str | None = None
    "why the status is `degraded`"
    check: CheckInfo | None = None
    baseline: BaselineInfo | None = None
    signals: list[SignalReport] = []
    not_captured: list[str] = []
    "columns of the baseline that no request has shown yet"
    learning: dict[str, int] | None = None
    "rows seen and rows needed, while a baseline (or the outputs it lacks) is being learned"
    capture: CaptureReport = field(default_factory=CaptureReport)
    alerts: AlertsReport = field(default_factory=AlertsReport)
    segments: dict[str, SegmentCheck] = {}
    "what the last check says of each segment that had rows in it"
    segment: str | None = None
    "the segment that `signals` and the severities speak of; null: all traffic"
    version: str = ""
    window: WindowReport | None = None
    "the stretch of the history that was asked for"

    def _repr_html_(self) -> str:
        """Show it as a page in a notebook's cell."""
        # By its name: records know no room, and what a page needs is loaded when one is asked for.
        return str(resolve_name("drift_middleware.web.page:render_notebook")(self))
