"""Pacing: how the thread shares a process with those who serve requests.

Only one thread of a process runs Python at a time, and one that asks for its turn waits up to 5 ms
for it; an event loop asks at every callback.  So a thread that works off a batch of 500 in one go
stalls all requests for as long as that takes: it gives way, piece by piece.  And a round of reading
and writing costs 2 ms beside its rows, where requests have emptied the caches: what comes slowly is
gathered for longer.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep

PIECE_SECONDS = 0.0005
"of work between two rests, no less: each costs the caches of a core what they hold"
REST_SECONDS = 0.0005
"at a time: what is read waits, and other processes wait for the buffer"
RESTED_SECONDS = 0.05
"in one round, no more: a busy process gives the turn back late, and who rests on falls behind"
GATHER_SECONDS = 0.1
"how long requests are gathered before they are read together, no less"
LONGEST_SECONDS = 0.25
"no more: what is gathered is lost if the process is killed"
ENOUGH = 300
"requests to read together: beside the work on them, a round's own is little"


class Pace:
    """When to rest in a round of work, and how long to gather for the next.

    Parameters
    ----------
    is_pressed
        Says that somebody waits for what the thread does: no rest then.
    """

    def __init__(self, is_pressed: Callable[[], bool]) -> None:
        self._is_pressed = is_pressed
        self._began = self._since = perf_counter()
        self._rested = 0.0
        self._gather = GATHER_SECONDS

    def begin(self, came: int) -> None:
        """Note that a round begins now, and how many requests came since the last one began."""
        now = perf_counter()
        until_enough = ENOUGH * (now - self._began) / max(came, 1)
        self._gather = min(max(until_enough, GATHER_SECONDS), LONGEST_SECONDS)
        self._began = self._since = now
        self._rested = 0.0

    def gather_seconds(self) -> float:
        """Return how long to gather before the next round: what is left of it since this one."""
        return self._gather - (perf_counter() - self._began)

    def give_way(self) -> None:
        """Let others have their turn, if this has taken a while."""
        now = perf_counter()
        is_due = now - self._since >= PIECE_SECONDS and self._rested < RESTED_SECONDS
        if is_due and not self._is_pressed():
            sleep(REST_SECONDS)
            self._since = perf_counter()
            self._rested += self._since - now


def go_on() -> None:
    """Do not rest: this process serves nobody else."""
