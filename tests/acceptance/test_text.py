"""English sentences stay quiet, and sentences of another language among them are named.

The English ones document Python. Each is there once, and a run's baseline is drawn from all of
them: its traffic is other sentences of the same writers. The foreign ones are jokes, drawn with
replacement, that make up 10 %. Without the extras words and script have to tell; the words are
slower, since a half of the baseline is spent on its vocabulary.
"""

import ast
import re
import sysconfig
from functools import cache
from pathlib import Path

import numpy as np
import pyjokes
import pytest

from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.descriptors.texts import LEVELS, Text
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import Table
from tests.acceptance.trial import FULL, SIZES, check, median, rate, watch
from tests.counting import count

STDLIB = Path(sysconfig.get_path("stdlib"))
SENTENCE = re.compile(r"[A-Z][^.!?:={}<>_|\\\[\]]{20,300}[.!?]")
FOREIGN = {"German": "de", "Italian": "it", "Polish": "pl", "Russian": "ru"}
BASELINE, ROWS, QUIET, MIXED = 2000, 100, 20, 20
TELLING = {"language", "script", "new_words"}


@cache
def english() -> list[str]:
    found = {}
    for path in sorted(STDLIB.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = " ".join((ast.get_docstring(node) or "").split())
                found.update(dict.fromkeys(SENTENCE.findall(text)))
    return list(found)


@cache
def foreign() -> dict[str, list[str]]:
    return {
        name: list(pyjokes.get_jokes(language=code, category="all"))
        for name, code in FOREIGN.items()
    }


@cache
def sentences() -> list[str]:
    return sum(foreign().values(), english())


@cache
def described() -> dict[str, np.ndarray]:
    """The parts of all sentences; `new_words` is of each run."""
    parts = Text(b"", language=True).describe(sentences(), None)
    return {part: np.array(values) for part, values in parts.items()}


class World:
    """A baseline of some English sentences, and a detector of all that describes them."""

    def __init__(self, name: str, run: int, *, extras: bool) -> None:
        self.foreign = foreign()[name]
        self.rng = np.random.default_rng([21, list(FOREIGN).index(name), run])
        self.order = self.rng.permutation(len(english()))
        learned_from, cut_on = np.split(self.order[:BASELINE], 2)
        text = Text.learn([english()[i] for i in learned_from], language=False)
        new_words = np.asarray(text.describe(sentences(), None)["new_words"])
        self.values = described() | {"new_words": new_words}
        self.parts = list(self.values) if extras else list(text.parts)
        signals = []
        for part in self.parts:
            values = self.values[part][cut_on if part in text.learned else self.order[:BASELINE]]
            is_level = part in LEVELS
            cells = cut_levels(values.tolist()) if is_level else cut_numbers(values, self.rng)
            signals.append(Signal(f"review.{part}", part, "feature", cells))
        self.counter, self.detector = Counter(signals, self.rng), Detector(signals)

    def mix(self) -> np.ndarray:
        """Give 20 checks of English rows, then 20 with some foreign ones among them."""
        rows = self.order[BASELINE : BASELINE + (QUIET + MIXED) * ROWS].copy()
        is_foreign = self.rng.random(len(rows)) < 0.1
        is_foreign[: QUIET * ROWS] = False
        first = sentences().index(self.foreign[0])
        jokes = first + self.rng.integers(0, len(self.foreign), len(rows))
        return np.where(is_foreign, jokes, rows)

    def tallies(self, rows: np.ndarray) -> np.ndarray:
        columns = {part: self.values[part][rows].tolist() for part in self.parts}
        table = Table(len(rows), columns, predicted=[True] * len(rows))
        placed = self.counter.place(table, columns)
        step = ROWS // 10
        counts = [count(self.counter, placed, i, i + step) for i in range(0, len(rows), step)]
        return np.array(counts).reshape(-1, 10, len(counts[0]))


def mixed(name, telling, runs, *, extras):
    """Of runs: has a quiet check a level, rows to one of `telling`, is another part blamed?"""
    for run in range(runs):
        world = World(name, run, extras=extras)
        levels = watch(world.detector, world.tallies(world.mix())).level > 0
        quiet, drifting = levels[:QUIET], levels[QUIET:]
        told = drifting[:, world.parts.index(telling)]
        first = (np.argmax(told) + 1) * ROWS if told.any() else np.inf
        parts = {part for part, has in zip(world.parts, drifting.any(axis=0), strict=True) if has}
        yield quiet.any(), first, not parts or not parts <= TELLING


def texts(size):
    runs, names = (100, list(FOREIGN)) if size == FULL else (10, ["German", "Russian"])
    for extras in (True, False):
        given, alarms = "with" if extras else "without", []
        for name in names:
            without = "script" if name == "Russian" else "new_words"
            telling = "language" if extras else without
            quiet, first, misled = zip(*mixed(name, telling, runs, extras=extras), strict=True)
            alarms += quiet
            what = f"10 % {name}, {given} the extras"
            yield median(f"{what}: rows to a level of {telling}", first, 1000 if extras else 1500)
            what = f"{what}: none in 2,000 rows, or one of a part that cannot tell"
            yield rate(what, misled, 0.05 if extras else 0.25)
        yield rate(f"2,000 English sentences, {given} the extras: a level", alarms, 0.02)


MEASURES = [texts]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_foreign_language_is_named(measure, size):
    check(measure(size))
