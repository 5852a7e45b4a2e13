"""Pacing: the thread gives way, piece by piece, to those who serve requests.

Only one thread of a process runs Python at a time, and one that asks for its turn waits up to 5 ms
for it; an event loop asks at every callback.  So a thread that works off a batch of 500 in one go
stalls all requests for as long as that takes.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep

PIECE_SECONDS = 0.0005
"of work between two rests, no less: each costs the caches of a core what they hold"
REST_SECONDS = 0.0005
"at a time: what is read waits, and other processes wait for the buffer"
LATE_SECONDS = 0.05
"after which there is no more rest: who takes so long falls behind, and the queue grows"


class Pace:
    """Rests for a moment after each piece of work.

    Parameters
    ----------
    is_pressed
        Says that somebody waits for what the thread does: no rest then.
    """

    def __init__(self, is_pressed: Callable[[], bool]) -> None:
        self._is_pressed = is_pressed
        self._began = self._since = perf_counter()

    def begin(self) -> None:
        """Note that work begins now."""
        self._began = self._since = perf_counter()

    def give_way(self) -> None:
        """Let others have their turn, if this has taken a while."""
        now = perf_counter()
        worked, is_late = now - self._since, now - self._began > LATE_SECONDS
        if worked >= PIECE_SECONDS and not is_late and not self._is_pressed():
            sleep(REST_SECONDS)
            self._since = perf_counter()


def go_on() -> None:
    """Do not rest: this process serves nobody else."""
