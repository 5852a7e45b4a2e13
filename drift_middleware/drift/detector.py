"""The detector: one step per check, from a state and the check's tallies to the next state.

A signal's level needs two things: evidence that something changed (`evidence`), and an effect
(`effect`) whose lower bound has reached a threshold on the rows since the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from drift_middleware.drift import dependence, effect, evidence, policies
from drift_middleware.drift.channels import Channels, Counts, Floats, Kind, budget
from drift_middleware.drift.effect import Effect
from drift_middleware.drift.evidence import Bets
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.state import Move, State
from drift_middleware.drift.thresholds import Thresholds, of_channels

Number = TypeVar("Number", bound=np.generic)

# Rows in a block; the recent past is the last full block and the one being filled.
BLOCK = 2000
# Nats in favour of the baseline, and against the changed rows, that end a drift.
CALM = 9.0

_gravity = attrgetter("level", "changed")


class ChannelVerdict(Struct, frozen=True, eq=False):
    """What a state says of one channel of one signal."""

    kind: Kind
    level: int
    moved: float
    "debiased distance of `live` from the baseline: total variation, or the value of the policy"
    at_least: float
    "lower bound of `moved`"
    evidence: float
    "natural logarithm of the evidence of a change, against its alarm line at 0"
    changed: bool
    since: int | None
    "the check in which the change began"
    live: Floats
    "(cells,) effective rows that `moved` speaks of"


class Verdict(Struct, frozen=True, eq=False):
    """What a state says of one signal: of each of its channels, `value` first."""

    name: str
    channels: tuple[ChannelVerdict, ...]

    @property
    def worst(self) -> ChannelVerdict:
        """The channel with the highest level; then one that changed; then the first."""
        return max(self.channels, key=_gravity)

    @property
    def level(self) -> int:
        """Level of the signal, 0 to 3."""
        return self.worst.level

    def channel(self, kind: Kind) -> ChannelVerdict | None:
        """Give the channel of that kind; not every signal has cells for unseen values."""
        return next((each for each in self.channels if each.kind == kind), None)


class Detector:
    """How checks are judged: fixed by the signals and the options, the same for all time.

    Parameters
    ----------
    signals
        In the order of the tallies' layout.
    checks_per_false_alarm
        If nothing changed, P(any alarm within K checks) <= K / checks_per_false_alarm.
    policy
        What the levels of values are about; see `policies`.
    thresholds
        Of the levels `low`, `medium` and `high` of values, by default those of the policy; and of
        single columns, signals and shares, see `thresholds.of_channels`.
    weights
        Column to its part of the false-alarm budget, against 1 for any other.
    guard
        Discount rows that depend on each other.
    tolerance
        `signal:channel` to what is added to its thresholds: what varies by nature.
    shrink
        Signal to the design effect by which its baseline's rows are divided.

    Raises
    ------
    ValueError
        If there is no signal, the policy is unknown, thresholds do not ascend from above 0, or a
        weight is not above 0.

    Notes
    -----
    Functions of (state, counts) only: no clock, no chance, nothing is changed in place.  The checks
    see sums of tallies, so the order in which rows or workers arrive within a slice cannot matter.
    """

    def __init__(  # noqa: PLR0913 - the options of the statistics, each with its default
        self,
        signals: Sequence[Signal],
        *,
        checks_per_false_alarm: float = 10_000,
        policy: policies.Name = "moved",
        thresholds: Thresholds | None = None,
        weights: Mapping[str, float] | None = None,
        guard: bool = True,
        tolerance: Mapping[str, float] | None = None,
        shrink: Mapping[str, float] | None = None,
    ) -> None:
        if not signals:
            raise ValueError("A detector needs at least one signal.")
        self.signals, self.guard = tuple(signals), guard
        self.channels = Channels(signals, shrink or {})
        self.weight = budget(signals, self.channels, weights)
        self._alarm = np.log(checks_per_false_alarm / self.weight)
        self.effect = policies.measure_of(policy)
        by_nature = [(tolerance or {}).get(name, 0.0) for name in self.channels.labels]
        self.thresholds: Floats = np.array(by_nature)[:, None] + of_channels(
            self.channels, policy, thresholds or {}
        )

    def start(self) -> State:
        """State before the first check."""
        cells, channels = len(self.channels.of), len(self.channels.start)
        return State(
            check=0,
            urn=self.channels.baseline,
            bets=evidence.no_bets(channels, cells),
            dependence=dependence.no_past(channels),
            previous=np.zeros(cells),
            current=np.zeros(cells),
            changed=np.zeros(channels, bool),
            since=np.zeros(channels, np.int64),
            level=np.zeros(channels, np.int64),
            calm=np.zeros(channels),
        )

    def restore(self, data: bytes) -> State:
        """Decode a state of this detector.

        Raises
        ------
        ValueError
            If the bytes are no state, or one of other signals.
        """
        state = State.from_bytes(data)
        if state.shapes() != self.start().shapes():
            msg = (
                f"This state is of other signals: it has {len(state.urn)} cells in"
                f" {len(state.level)} channels, not {len(self.channels.of)} in {len(self.weight)}."
            )
            raise ValueError(msg)
        return state

    def check(self, state: State, slices: Counts) -> State:
        """Take one step: the tallies (slices, size) of a check, oldest first, up to ten of them.

        A signal with no rows, not even missing ones, is not captured: nothing moves for it.
        """
        counts = self.channels.counts(np.atleast_2d(slices))
        rows, past = counts.sum(axis=0), state.dependence
        if self.guard:
            present = dependence.watch(self.channels, past, counts)
            rows = rows / dependence.inflation(self.channels, past, present)[self.channels.of]
            state = replace(state, dependence=present)
        return self._grade(self._listen(replace(state, check=state.check + 1), rows))

    def verdict(self, state: State) -> list[Verdict]:
        """Say what was graded, and on which rows, signal by signal.

        `moved` speaks of the rows since the change, or of the recent ones where they are further
        from the baseline for certain, or where nothing changed.
        """
        ch, recent = self.channels, state.previous + state.current
        if state.changed.any():
            segment = self._segment(state.bets)
            of_segment, of_recent = self._effects(state, segment, recent)
        else:
            (of_recent,) = self._effects(state, recent)
            segment, of_segment = recent, of_recent
        bounds = of_segment.at_least, of_recent.at_least
        since_change = state.changed & (bounds[0] >= bounds[1])
        rows = np.where(since_change[ch.of], segment, recent)
        ends = [*ch.start[1:].tolist(), len(rows)]
        live = [rows[a:b] for a, b in zip(ch.start.tolist(), ends, strict=True)]
        columns = (
            state.level,
            np.where(since_change, of_segment.distance, of_recent.distance),
            np.maximum(np.where(since_change, *bounds), 0),
            self._evidence(state.bets),
            state.changed,
            state.since,
        )
        by_signal: list[list[ChannelVerdict]] = [[] for _ in self.signals]
        for signal, kind, counts, *numbers in zip(
            ch.signal, ch.kinds, live, *(column.tolist() for column in columns), strict=True
        ):
            level, moved, at_least, log_evidence, changed, since = numbers
            begin = since if changed else None
            by_signal[signal].append(
                ChannelVerdict(kind, level, moved, at_least, log_evidence, changed, begin, counts)
            )
        return [Verdict(n, tuple(c)) for n, c in zip(ch.names, by_signal, strict=True)]

    def _listen(self, state: State, rows: Floats) -> State:
        """Hear the evidence of a check's effective rows, and let the rows into the pools."""
        ch, changed, number = self.channels, state.changed, state.check
        bets = evidence.play(ch, state.bets, rows, state.urn, number)
        segment = self._segment(bets)
        alarm = ~changed & (self._evidence(bets) >= 0)
        calm = self._calm(state, segment, rows)
        ends = (calm >= CALM) & (state.calm < CALM)

        # The recent rows catch a drift that grows, which the segment would dilute, or that shrinks.
        full = (ch.total(state.current) >= BLOCK)[ch.of]
        previous = np.where(full, state.current, state.previous)
        current = np.where(full, 0, state.current) + rows
        alarmed, ending, frozen = alarm[ch.of], ends[ch.of], changed[ch.of]
        # A changed channel's rows stay out of the urn, those before its alarm are taken back out.
        urn = np.where(frozen, state.urn, state.urn + rows)
        return replace(
            state,
            urn=np.where(alarmed, np.maximum(urn - segment, ch.baseline), urn),
            bets=bets,
            previous=np.where(ending, rows, np.where(alarmed, 0, previous)),
            current=np.where(ending, 0, np.where(alarmed, segment, current)),
            changed=changed | alarm,
            since=np.where(alarm, _pick(bets.begins, evidence.best_bet(bets)), state.since),
            calm=calm,
        )

    def _calm(self, state: State, segment: Floats, rows: Floats) -> Floats:
        """Add up, for changed channels, how much more their rows look like the baseline (CUSUM)."""
        ch = self.channels
        if not state.changed.any():  # nearly always
            return np.zeros(len(state.changed))
        share = ch.baseline / ch.total(ch.baseline)[ch.of]
        drift = np.maximum(segment - rows, 0) + evidence.LEARNER * share
        relief = evidence.log_urn(ch, rows, state.urn) - evidence.log_urn(ch, rows, drift)
        return np.where(state.changed, np.maximum(state.calm + relief, 0), 0)

    def _grade(self, state: State) -> State:
        """Raise on a lower bound, ease on what recent rows still show, let go of ended drifts."""
        if not state.changed.any():  # nearly always: what has not changed has no level
            return state
        ch, recent = self.channels, state.previous + state.current
        of_segment, of_recent = self._effects(state, self._segment(state.bets), recent)
        at_least = np.maximum(of_segment.at_least, of_recent.at_least)
        level = np.maximum(state.level, self._reached(at_least)) * state.changed
        # Raised on a bound, eased on an estimate: the gap between them keeps levels steady.
        # Only the end of a drift frees a channel; a smaller drift has still changed.
        floor = self._reached(of_recent.still)
        ease = (ch.total(state.previous) > 0) & (floor < level)
        free = (state.calm >= CALM) & (floor == 0)
        bets = replace(
            state.bets,
            wealth=np.where(free, 0.0, state.bets.wealth),
            segments=np.where(ease[ch.of], recent, state.bets.segments),
        )
        level = np.where(free, 0, np.where(ease, floor, level))
        return replace(state, bets=bets, level=level, changed=state.changed & ~free)

    def _effects(self, state: State, *pools: Floats) -> list[Effect]:
        """Measure how far some rows (cells,) are from the baseline, one effect for each."""
        weights = effect.topped_up(self.channels, state.urn)
        return [self.effect(self.channels, rows, weights) for rows in pools]

    def _segment(self, bets: Bets) -> Floats:
        """Rows (cells,) since the change, as the best bet of each channel has it."""
        return _pick(bets.segments, evidence.best_bet(bets)[self.channels.of])

    def _evidence(self, bets: Bets) -> Floats:
        return evidence.log_evidence(bets) - self._alarm

    def _reached(self, distance: Floats) -> NDArray[np.int64]:
        reached: NDArray[np.int64] = (distance[:, None] >= self.thresholds).sum(axis=1)
        return reached


def carry(state: State, old: Detector, new: Detector) -> State:
    """Take a state over into a detector with more signals, fewer, or other roles and options.

    A signal of the same name and the same cells goes on as it was; any other starts afresh.
    """
    known = {signal.name: (place, signal.cells) for place, signal in enumerate(old.signals)}
    here = [i for i, s in enumerate(new.signals) if known.get(s.name, (0, None))[1] == s.cells]
    there = [known[new.signals[i].name][0] for i in here]
    cells, channels = (
        Move(source, target)
        for source, target in zip(old.channels.find(there), new.channels.find(here), strict=True)
    )
    return new.start().take_over(state, cells, channels)


def _pick(by_bet: NDArray[Number], bet: NDArray[np.intp]) -> NDArray[Number]:
    """Take from (bets, n) the row that `bet` (n,) names for each column."""
    return by_bet[bet, np.arange(by_bet.shape[1])]
