"""Pacing: how the thread shares a process with those who serve requests.

Only one thread of a process runs Python at a time, and one that asks for its turn waits up to 5 ms
for it; an event loop asks at every callback.  So a thread that works off what has gathered in one
go stalls all requests for as long as that takes: it gives way, piece by piece.  And whenever it
runs, both find the caches empty: it runs seldom, on many requests.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep

GATHER_SECONDS = 0.25
"how long requests are gathered, to be read together; what is gathered is lost in a kill"
PIECE_SECONDS = 0.002
"of work between two rests, no less: each costs the caches of a core what they hold"
REST_SECONDS = 0.0005
"at a time: what is read waits, and other processes wait for the buffer"
RESTED_SECONDS = 0.125
"in one round, no more: a busy process gives the turn back late, and who rests on falls behind"


class Pace:
    """When to rest in a round of work, and how long to gather for the next.

    Parameters
    ----------
    is_pressed
        Says that somebody waits for what the thread does: no rest then.
    """

    def __init__(self, is_pressed: Callable[[], bool]) -> None:
        self._is_pressed = is_pressed
        self.begin()

    def begin(self) -> None:
        """Note that a round begins now."""
        self._began = self._since = perf_counter()
        self._rested = 0.0

    def gather_seconds(self) -> float:
        """Return how long to gather before the next round: what is left of it since this one."""
        return GATHER_SECONDS - (perf_counter() - self._began)

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
