"""How an effect is shown: in which unit, and against which levels."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from drift_middleware.schemas import SignalReport

Levels = tuple[float, float, float]
Thresholds = Mapping[str, float | Mapping[str, float]]

LEVELS: dict[str, Levels] = {
    "moved": (0.05, 0.10, 0.20),
    "psi": (0.02, 0.10, 0.25),
    "jensen_shannon": (0.05, 0.10, 0.20),
    "hellinger": (0.05, 0.10, 0.20),
    "ks": (0.05, 0.10, 0.20),
    "wasserstein": (0.10, 0.25, 0.50),
    "share": (0.002, 0.03, 0.10),
}
"low, medium and high, where the options say nothing else; `share`: of missing and unseen values"
UNBOUNDED = {"psi", "wasserstein"}
ONLY_ORDERED = {"ks", "wasserstein"}


class Effect(Struct):
    """What the bar of a signal needs beside the signal."""

    levels: Levels
    top: float
    "the end of the scale"
    is_share: bool
    "a share of the traffic, and not the value of another distance"


class Policy(Struct, frozen=True):
    """What severity is about: the options `policy` and `thresholds`, as a server has them."""

    name: str = "moved"
    thresholds: Thresholds = {}

    def effect(self, signal: SignalReport) -> Effect:
        """Say what the effect of a signal is measured by."""
        usual = "moved" if signal.kind != "ordered" and self.name in ONLY_ORDERED else self.name
        entries = [self.thresholds.get(signal.name), self.thresholds.get(signal.column)]
        kind = _channel(signal, usual)
        given: Mapping[str, object] = self.thresholds
        if kind != "value":
            usual, entries, given = "share", [self.thresholds.get(kind)], {}
        own = next((entry for entry in entries if isinstance(entry, Mapping)), {})
        low, medium, high = (
            _number(own.get(name), given.get(name), default)
            for name, default in zip(("low", "medium", "high"), LEVELS[usual], strict=True)
        )
        is_open = usual in UNBOUNDED
        return Effect(
            (low, medium, high), 5 * high if is_open else 1.0, usual in ("moved", "share")
        )


def _channel(signal: SignalReport, policy: str) -> str:
    """Tell whether a signal's effect is that of its values, of missing or of unseen ones."""
    name = "total_variation" if policy == "moved" else policy
    found = {
        "value": signal.distances.get(name, 0.0) - signal.by_chance.get(name, 0.0),
        "missing": abs(signal.missing[1] - signal.missing[0]),
        "unseen": signal.unseen,
    }
    return min(found, key=lambda kind: abs(found[kind] - signal.moved))


def _number(*given: object) -> float:
    return next(float(one) for one in given if isinstance(one, int | float))
