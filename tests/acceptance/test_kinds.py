"""Values of every kind, fitted and counted as they come: quiet is quiet, and what changed is named.

One table: numbers without ties and with, few-valued ones, categories with a long tail, a flag, a
constant, a column that is all missing, texts (without the extras), times with their age, embeddings
of 32 numbers, class probabilities, a confidence with its spread, and the joint signal.  Of some
columns 3 % are missing.  Texts and times are new in every row.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.descriptors.texts import EXTRAS
from drift_middleware.drift.detector import Detector
from drift_middleware.drift.tally import JOINT, SLICES, Counter
from drift_middleware.schemas import Table
from tests.acceptance.trial import FULL, SIZES, Finding, check, median, rate, watch
from tests.acceptance.world import ZIPF
from tests.counting import count

NEVER = np.inf
ROWS, QUIET, AFTER = 500, 10, 16
STEPS = ("low", "medium", "high")
NUMBERS = {"size", "weight", "price"}
MONDAY, HOUR, DAY = 1_767_571_200, 3600, 86_400
DAYS = np.array([0.17, 0.17, 0.17, 0.17, 0.16, 0.09, 0.07])
HOURS = np.array([1] * 7 + [3] * 5 + [5] * 6 + [3] * 6) / 70
CENTERS = np.random.default_rng(40).normal(0, 2, (6, 32))
CLUSTERS = [0.3, 0.3, 0.2, 0.1, 0.1]
COMMON = np.cumsum(1 / np.arange(1, 20_000))


def _vocabulary(rng):
    """20,000 words of letters; some are numbers, some end a phrase."""
    letters = rng.choice([*"abcdefghiklmnoprstuvw"], (20_000, 12))
    lengths = rng.integers(2, 12, 20_000)
    words = ["".join(row[:length]) for row, length in zip(letters, lengths, strict=True)]
    words[5::40] = [str(number) for number in rng.integers(1, 9999, 500)]
    return np.array([word + "," * (i % 11 == 3) for i, word in enumerate(words)], object)


VOCABULARY = _vocabulary(np.random.default_rng(41))


def texts(rng, rows, words):
    """Write texts of so many words, give or take half, the most frequent one 10 % of all."""
    lengths = rng.integers(words // 2, words + words // 2 + 1, rows)
    which = np.searchsorted(COMMON, rng.random(lengths.sum()) * COMMON[-1])
    ends = np.cumsum([0, *lengths]).tolist()
    drawn = VOCABULARY[which].tolist()
    return [" ".join(drawn[first:last]) for first, last in pairwise(ends)]


def draw(rng, rows):
    """Draw rows, as arrays and lists; `arrived` is for the age and not watched."""
    first, second = rng.normal(size=(2, rows))
    day = 7 * rng.integers(0, 4, rows) + rng.choice(7, rows, p=DAYS)
    arrived = MONDAY + DAY * day + HOUR * (rng.choice(24, rows, p=HOURS) + rng.random(rows))
    likely = np.exp(rng.normal([1, 0.5, 0, -0.5], 1.5, (rows, 4)))
    return {
        "size": np.exp(first),
        "weight": without(rng, 0.03, 0.6 * first + 0.8 * second),
        "price": np.round(np.maximum(rng.normal(3, 4, rows), 0)),
        "rooms": 1 + rng.binomial(5, 0.4, rows),
        "city": np.searchsorted(np.cumsum(ZIPF[:-1]), rng.random(rows)),
        "member": rng.random(rows) < 0.3,
        "version": np.full(rows, 3),
        "note": [None] * rows,
        "review": without(rng, 0.03, texts(rng, rows, 8)),
        "sent": arrived - rng.lognormal(7, 1, rows),
        "arrived": arrived,
        "embedding": rng.normal(CENTERS[rng.choice(5, rows, p=CLUSTERS)]),
        "probabilities": likely / likely.sum(axis=1, keepdims=True),
        "confidence": np.clip(0.7 + 0.06 * rng.normal(size=rows), 0, 1),
    }


def plain(x):
    return x.tolist() if isinstance(x, np.ndarray) and x.ndim == 1 else [*x]


def without(rng, share, x):
    """Make a share of the values missing."""
    gone = rng.random(len(x)) < share
    return [None if is_gone else value for value, is_gone in zip(plain(x), gone, strict=True)]


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


WRITTEN = {"city": "city {}".format, "sent": iso}


def write(drawn, **otherwise):
    """Give columns as JSON brings them; `otherwise` are other types of some."""
    columns = {name: plain(x) for name, x in drawn.items()}
    for name, way in (WRITTEN | otherwise).items():
        columns[name] = [None if value is None else way(value) for value in columns[name]]
    return columns


class World:
    """A baseline of every kind, and what counts and judges its traffic."""

    def __init__(self, rng, rows):
        self.rng = rng
        with pytest.MonkeyPatch.context() as patch:
            for name in EXTRAS:
                patch.setitem(sys.modules, name, None)  # as if it were not installed
            baseline = Baseline.fit(
                write(draw(rng, rows)), timestamp="arrived", seed=int(rng.integers(1 << 31))
            )
        self.signals = baseline.signals
        self.detector = Detector(baseline.signals)
        self.counter = Counter(baseline.signals, rng, baseline.descriptors, baseline.joint)

    def place(self, drawn, **otherwise):
        columns = write(drawn, **otherwise)
        rows, at = len(columns["arrived"]), columns["arrived"]
        table = Table(rows, columns, predicted=[True] * rows, requests=[1] * rows, at=at)
        return self.counter.place(table, [*columns, JOINT])

    def tallies(self, placed, rows):
        """Count checks of so many rows in each slice (checks, slices)."""
        ends = pairwise(np.cumsum([0, *rows.ravel()]).tolist())
        size = self.counter.layout.size
        counts = [count(self.counter, placed, first, last)[:size] for first, last in ends]
        return np.array(counts).reshape(-1, SLICES, size)


def evenly(checks, rows):
    return np.full((checks, SLICES), rows // SLICES)


def by_time(rng, checks):
    """Rows of slices where checks come by time: their traffic goes from 50 to 500 rows a check."""
    return rng.poisson(rng.uniform(50, 500, (checks, 1)) / SLICES, (checks, SLICES))


def quiet(size):
    """The same rows are judged in checks of 500, those that come first also in smaller ones."""
    checks, runs = (200, 20) if size == FULL else (20, 2)
    for baseline in (1000, 5000) if size == FULL else (1000,):
        traces = {"500": [], "100": [], "50 to 500, by time": []}
        spent = []
        for run in range(runs):
            rng = np.random.default_rng([41, baseline, run])
            world = World(rng, baseline)
            placed = world.place(draw(rng, checks * 500))
            parts = evenly(checks, 500), evenly(checks, 100), by_time(rng, checks)
            tallies = [world.tallies(placed, rows) for rows in parts]
            for found, counted in zip(traces.values(), tallies, strict=True):
                found.append(watch(world.detector, counted))
            spender = Detector(world.signals, checks_per_false_alarm=20)
            spent.append(watch(spender, tallies[0]).alarms)
        for rows, found in traces.items():
            what = f"{checks} quiet checks of {rows}, baseline of {baseline}"
            yield rate(f"{what}: a level", (trace.level.any() for trace in found), 0.02)
            yield rate(f"{what}: an alarm", (trace.alarms > 0 for trace in found), 0.02)
        what = f"one alarm in 20 checks allowed, {checks} of 500, baseline of {baseline}: alarms"
        yield Finding(what, np.array(spent), "mean", checks / 20)


class Change(NamedTuple):
    """What happens to a column, the signal that is to say so, and the bars: rows to each level."""

    what: str
    signal: str
    bars: tuple[float, float, float]
    make: Callable[[np.random.Generator, dict], dict]
    "gives the drawn columns that are others now"


NEW_WORD = str.maketrans("aeiou", "jqxyz")
CYRILLIC = str.maketrans("abcdefghiklmnoprstuvw", "абцдефгхиклмнопрстувы")


def reviews(rng, x, translate, share):
    """Translate a share of the texts, or of their words."""
    return [None if text is None else translate(rng, text, share) for text in x["review"]]


def some_words(rng, text, share):
    words = text.split(" ")
    new = rng.random(len(words)) < share
    return " ".join(
        word.translate(NEW_WORD) if is_new else word
        for word, is_new in zip(words, new, strict=True)
    )


def some_texts(rng, text, share):
    return text.translate(CYRILLIC) if rng.random() < share else text


def some(rng, share, x, other):
    """Replace a share of the values."""
    return np.where(rng.random(len(x)) < share, other, x)


def later(x, seconds):
    """Move times, as they are sent and as they arrive: none gets older."""
    return {"sent": x["sent"] + seconds, "arrived": x["arrived"] + seconds}


def on_weekends(rng, x):
    weekday = (x["arrived"] - MONDAY) // DAY % 7
    return later(x, DAY * (rng.choice([5, 6], len(weekday)) - weekday))


def correlated(rng, x, correlation):
    rest = np.sqrt(1 - correlation**2) * rng.normal(size=len(x["size"]))
    return {"weight": without(rng, 0.03, correlation * np.log(x["size"]) + rest)}


def clustered(rng, x, share):
    is_new = rng.random(len(x["embedding"])) < share
    new = rng.normal(CENTERS[5], size=x["embedding"].shape)
    return {"embedding": np.where(is_new[:, None], new, x["embedding"])}


def sharper(x):
    p = x["probabilities"] ** 1.5
    return {"probabilities": p / p.sum(axis=1, keepdims=True)}


CHANGES = (
    Change("texts twice as long", "review.length", (500, 500, 500),
           lambda rng, x: {"review": without(rng, 0.03, texts(rng, len(x["review"]), 16))}),
    Change("10 % of words new", "review.new_words", (1000, 4000, NEVER),
           lambda rng, x: {"review": reviews(rng, x, some_words, 0.1)}),
    Change("10 % of texts in another script", "review.script", (1000, NEVER, NEVER),
           lambda rng, x: {"review": reviews(rng, x, some_texts, 0.1)}),
    Change("times three hours later", "sent.hour", (1500, 3000, NEVER),
           lambda rng, x: later(x, 3 * HOUR)),
    Change("times on weekends only", "sent.weekday", (500, 500, 1000), on_weekends),
    Change("times twice as old", "sent.age", (500, 500, 2500),
           lambda rng, x: {"sent": 2 * x["sent"] - x["arrived"]}),
    Change("embeddings, every other number + 1.5 sd", "embedding.cosine", (1000, 1000, NEVER),
           lambda rng, x: {"embedding": x["embedding"] + [1.5, 0] * 16}),
    Change("embeddings, 10 % in a new cluster", "embedding.cosine", (1000, 1500, NEVER),
           lambda rng, x: clustered(rng, x, 0.1)),
    Change("class probabilities sharper, top as it was", "probabilities.confidence",
           (500, 1000, NEVER), lambda rng, x: sharper(x)),
    Change("confidence, spread x 1.5, mean as it was", "confidence.spread", (500, 1000, NEVER),
           lambda rng, x: {"confidence": np.clip(1.5 * x["confidence"] - 0.35, 0, 1)}),
    Change("numbers without ties, log + .5 sd", "size", (500, 1000, NEVER),
           lambda rng, x: {"size": x["size"] * np.exp(0.5)}),
    Change("numbers with ties, a quarter become 0", "price", (1500, 3500, NEVER),
           lambda rng, x: {"price": some(rng, 0.25, x["price"], 0.0)}),
    Change("few-valued numbers, half get one more", "rooms", (1000, 2000, NEVER),
           lambda rng, x: {"rooms": some(rng, 0.5, x["rooms"], x["rooms"] + 1)}),
    Change("categories, 10 % new", "city", (2000, 2500, NEVER),
           lambda rng, x: {"city": some(rng, 0.1, x["city"], 5000)}),
    Change("a flag from 30 to 50 %", "member", (500, 1000, NEVER),
           lambda rng, x: {"member": rng.random(len(x["member"])) < 0.5}),
    Change("a constant, 10 % are another", "version", (1000, NEVER, NEVER),
           lambda rng, x: {"version": some(rng, 0.1, x["version"], 4)}),
    Change("all missing, 5 % have a value", "note", (1500, 5000, NEVER),
           lambda rng, x: {"note": without(rng, 0.95, ["hello"] * len(x["note"]))}),
    Change("correlation .6 to -.6", "joint", (1000, 3000, NEVER),
           lambda rng, x: correlated(rng, x, -0.6)),
    Change("5 % of numbers missing", "size", (1000, 3500, NEVER),
           lambda rng, x: {"size": without(rng, 0.05, x["size"])}),
    Change("5 % of categories missing", "city", (1000, 3500, NEVER),
           lambda rng, x: {"city": without(rng, 0.05, x["city"])}),
    Change("another 10 % of texts missing", "review.length", (1000, 2500, NEVER),
           lambda rng, x: {"review": without(rng, 0.1, x["review"])}),
    Change("5 % of times missing", "sent.hour", (1000, 3500, NEVER),
           lambda rng, x: {"sent": without(rng, 0.05, x["sent"])}),
    Change("5 % of embeddings missing", "embedding.cosine", (1000, 3500, NEVER),
           lambda rng, x: {"embedding": without(rng, 0.05, x["embedding"])}),
    Change("5 % of class probabilities missing", "probabilities.top", (1000, 3500, NEVER),
           lambda rng, x: {"probabilities": without(rng, 0.05, x["probabilities"])}),
    Change("5 % of confidences missing", "confidence.spread", (1000, 3500, NEVER),
           lambda rng, x: {"confidence": without(rng, 0.05, x["confidence"])}),
)  # fmt: skip


def delays(size):
    """A run's baseline and quiet checks are the same for every change, the changed rows are not."""
    changes = CHANGES if size == FULL else CHANGES[::5]
    found, others = [[] for _ in changes], []
    for run in range(20 if size == FULL else 3):
        rng = np.random.default_rng([45, run])
        world = World(rng, 5000)
        before = world.tallies(world.place(draw(rng, QUIET * ROWS)), evenly(QUIET, ROWS))
        of, names = world.detector.channels.signal, [signal.name for signal in world.signals]
        columns = [signal.column for signal in world.signals]
        for change, delay in zip(changes, found, strict=True):
            drawn = draw(rng, AFTER * ROWS)
            changed = change.make(rng, drawn)
            after = world.tallies(world.place(drawn | changed), evenly(AFTER, ROWS))
            trace = watch(world.detector, np.concatenate([before, after]))
            signal = names.index(change.signal)
            delay.append([ROWS * (trace.first(signal, level, of) - QUIET) for level in (1, 2, 3)])
            # What is watched of the numbers together is of each of them.
            own = {*changed, JOINT} if changed.keys() & NUMBERS else {*changed}
            trace.level[QUIET:, [name in own for name in columns]] = 0
            others.append(trace.level.any())
    for change, delay in zip(changes, found, strict=True):
        what = f"{change.what}, checks of {ROWS}: rows to"
        for step, rows, bar in zip(STEPS, np.transpose(delay), change.bars, strict=True):
            if bar < NEVER:
                yield median(f"{what} {step} of {change.signal}", rows, bar)
    yield rate("a level of another column, or before the change", others, 0.02)


TYPES = {
    "numbers as texts": {"size": str, "price": str},
    "integers as floats": {"rooms": float, "version": float},
    "flags as 0 and 1": {"member": int},
    "times as milliseconds": {"sent": lambda seconds: int(1000 * seconds)},
}


def types(size):
    """The same values in other types are no change at all."""
    levels = {what: [] for what in TYPES}
    for run in range(20 if size == FULL else 3):
        rng = np.random.default_rng([43, run])
        world = World(rng, 5000)
        before = world.tallies(world.place(draw(rng, QUIET * ROWS)), evenly(QUIET, ROWS))
        for what, otherwise in TYPES.items():
            placed = world.place(draw(rng, AFTER * ROWS), **otherwise)
            after = world.tallies(placed, evenly(AFTER, ROWS))
            trace = watch(world.detector, np.concatenate([before, after]))
            levels[what].append(trace.level.any())
    for what, events in levels.items():
        yield rate(f"{what} that were not, {AFTER} checks of {ROWS}: a level", events, 0)


MEASURES = [quiet, delays, types]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_every_kind_of_value_is_quiet_until_it_changes(measure, size):
    check(measure(size))


def test_every_kind_of_value_is_watched_as_such():
    names = {signal.name for signal in World(np.random.default_rng(44), 500).signals}
    assert {change.signal for change in CHANGES} <= names
    assert "review.language" not in names
