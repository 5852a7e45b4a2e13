"""Segments: the same watch for the rows of each of the largest clients, carriers or routes.

A segment that is a value of a baseline's column is compared with the baseline's rows of that value;
one that no column tells (a header, a route) with the whole baseline.  All share the false-alarm
budget with the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import compress
from typing import Any

import numpy as np
from msgspec import MsgspecError, msgpack
from msgspec.structs import replace

from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.detector import carry
from drift_middleware.drift.fitting import FEWEST_IN_SEGMENT, MOST_SEGMENTS
from drift_middleware.drift.levels import level
from drift_middleware.drift.state import State
from drift_middleware.drift.tally import tallies
from drift_middleware.schemas import Headers, Table, Tally
from drift_middleware.watch import Watch

# Names of segments whose rows are counted until they are watched; clients choose them.
MOST_CANDIDATES = 1000
HEADER = "header:"
ROUTE = "route"


class Segments:
    """What is watched of each segment.  Built for a baseline and replaced whole.

    Parameters
    ----------
    watch
        Of the whole.
    names
        The segments that are watched, where the baseline has none of its own.
    """

    def __init__(self, watch: Watch, config: Config, names: Collection[str]) -> None:
        by = config.segment_by or ""
        own = watch.baseline.segments
        shared = shared_by(watch.baseline, config)
        self.watches: dict[str, Watch] = (
            {name: Watch(part, config, shared_by=shared) for name, part in own.items()}
            if own
            else dict.fromkeys(names, watch)
        )
        self.are_found = not own
        "in traffic, as they come"
        self.columns = () if _is_of_request(by) else (by,)
        "that must be captured to tell them apart"

    def labels(self, table: Table, of_request: Sequence[str | None]) -> list[str | None]:
        """Give each row the name of its segment: by its column, or by what its request said."""
        if self.columns:
            column = table.columns.get(self.columns[0], [None] * table.rows)
            return [level(value) for value in column]
        pairs = zip(of_request, table.requests, strict=True)
        return [name for name, rows in pairs for _ in range(rows)]

    def tallies(
        self,
        table: Table,
        labels: Sequence[str | None],
        captured: Collection[str],
        slices: Sequence[int],
    ) -> Iterator[Tally]:
        """Count the rows of each segment, apart.

        Parameters
        ----------
        labels : (rows,)
            Segment of each row, None where it has none.
        captured
            Columns that traffic has shown.
        slices : (requests,)
            Time slice of each request.
        """
        of_row = np.array(labels, object)
        for name, watch in self.watches.items():
            is_in = of_row == name
            if is_in.any():
                part, kept = _part(table, is_in)
                placed = watch.counter.place(part, captured)
                of_request = list(compress(slices, kept))
                for tally in tallies(watch.counter, placed, part.requests, of_request):
                    yield replace(tally, segment=name)


def shared_by(baseline: Baseline, config: Config) -> int:
    """Return how many detectors there may be: they share the budget."""
    if config.segment_by is None:
        return 1
    return 1 + (len(baseline.segments) or MOST_SEGMENTS)


def label_of(by: str | None, endpoint: str, headers: Headers) -> str | None:
    """Name the segment of a request, where a header or its route tells."""
    if by is None or not _is_of_request(by):
        return None
    if by == ROUTE:
        return endpoint
    wanted = by.removeprefix(HEADER).lower().encode()
    found = next((value for name, value in headers if name.lower() == wanted), None)
    return None if found is None else level(found.decode("latin-1"))


def _is_of_request(by: str) -> bool:
    return by == ROUTE or by.startswith(HEADER)


def discover(rows: dict[str, int], labels: Sequence[str | None]) -> list[str]:
    """Count the rows of segments that no baseline knows; return those that are watched.

    `rows` is added to, in order of first appearance.  The first ten to have 200 rows are watched.
    """
    for name in labels:
        if name is not None and (name in rows or len(rows) < MOST_CANDIDATES):
            rows[name] = rows.get(name, 0) + 1
    return [name for name, count in rows.items() if count >= FEWEST_IN_SEGMENT][:MOST_SEGMENTS]


def carried(states: Mapping[str, State], old: Segments, new: Segments) -> dict[str, State]:
    """Go on with the states of the segments that are still watched."""
    return {
        name: carry(states[name], old.watches[name].detector, watch.detector)
        for name, watch in new.watches.items()
        if name in states and name in old.watches
    }


def pack_states(states: Mapping[str, State]) -> bytes:
    """Write the states of all segments."""
    return msgpack.encode({name: state.to_bytes() for name, state in states.items()})


def unpack_states(data: bytes, watches: Mapping[str, Watch]) -> dict[str, State]:
    """Read what `pack_states` wrote.  A state that is damaged, or of another, starts afresh."""
    states = {}
    try:
        packed = msgpack.decode(data, type=dict[str, bytes]) if data else {}
    except MsgspecError:
        packed = {}
    for name, one in packed.items():
        with suppress(KeyError, ValueError):
            states[name] = watches[name].detector.restore(one)
    return states


def _part(table: Table, is_in: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Table, list[bool]]:
    """Take some rows of a table; say which requests have any of them."""
    request = np.repeat(np.arange(len(table.requests)), table.requests)
    rows = np.bincount(request[is_in], minlength=len(table.requests))
    kept = (rows > 0).tolist()
    part = Table(
        rows=int(is_in.sum()),
        columns={name: list(compress(values, is_in)) for name, values in table.columns.items()},
        outputs=table.outputs,
        predicted=list(compress(table.predicted, is_in)),
        requests=rows[rows > 0].tolist(),
        at=list(compress(table.at, kept)),
    )
    return part, kept
