"""What the writer knows of the database without asking it, until somebody else writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from drift_middleware.schemas import Tally

Tallies = dict[tuple[str, int], Tally]
"by segment and slice"


class Known:
    """What one connection has read and written; a transaction that fails makes all of it void.

    With each step of a statement Python's lock is let go of, and a busy server gives it back late.
    So what was read once is not read again.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        "of the columns, and how `rows` names each; they only ever become more"
        self.forget(-1)

    def forget(self, version: int) -> None:
        """Begin anew with what another connection left; SQLite numbers those versions."""
        self.version = version
        self.state: dict[str, bytes | None] = {}
        self.counters: dict[str, int] | None = None
        self.pending: tuple[int, int] | None = None
        "requests and rows since the last check"
        self.tallies: Tallies | None = None
        "since the last check"

    def note_counted(self, counters: Mapping[str, int]) -> None:
        """Note what was added to the counters."""
        if self.counters is not None:
            for name, value in counters.items():
                self.counters[name] = self.counters.get(name, 0) + value

    def note_tallies(self, tallies: Iterable[Tally]) -> None:
        """Note what was added to the tallies."""
        for tally in tallies:
            if self.pending is not None and not tally.segment:
                requests, rows = self.pending
                self.pending = requests + tally.requests, rows + tally.rows
            if self.tallies is not None:
                add_to(self.tallies, tally)


def add_to(tallies: Tallies, tally: Tally) -> None:
    """Add rows to what there is of their segment and slice."""
    key = tally.segment, tally.slice
    if key in tallies:
        tallies[key].add(tally)
    else:
        tallies[key] = replace(tally)
