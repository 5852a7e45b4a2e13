import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.drift import tally
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.cells import Cells
from drift_middleware.drift.ranks import Ranks
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import Table

EDGES = st.lists(st.integers(-5, 5), min_size=1, max_size=6, unique=True).map(sorted)
DRAWS = st.floats(0, 1, exclude_max=True)


@st.composite
def ranked(draw):
    """Cells between some edges, each with the draw that it was cut with."""
    edges = draw(EDGES)
    keys = [i + draw(DRAWS) for i in range(len(edges))]
    cells = len(keys) + 1
    return Cells(
        ordered=True, weights=(1.0,) * cells, novel=(), present=1, missing=0,
        edges=tuple(map(float, edges)), keys=tuple(keys),
    )  # fmt: skip


NONE = Cells(ordered=True, weights=(1.0,), novel=(0,), present=0, missing=1)


def by_hand(cells, value, rng):
    """Rank one number as the definition has it: by its edge, and a draw where it equals one."""
    below = sum(edge < value for edge in cells.edges)
    rank = below + rng.random() if value in cells.edges else below
    return sum(key < rank for key in cells.keys)


@given(st.data())
def test_many_signals_are_placed_as_each_number_is_alone(data):
    cells = data.draw(st.lists(st.one_of(ranked(), st.just(NONE)), min_size=1, max_size=4))
    which = data.draw(st.lists(st.sampled_from(range(len(cells))), min_size=1, unique=True))
    rows = data.draw(st.integers(0, 5))
    values = st.sampled_from([*range(-6, 7), 0.5, -0.5])
    x = np.array([[float(data.draw(values)) for _ in range(rows)] for _ in which])
    x = x.reshape(len(which), rows)
    found = Ranks(cells).place(which, x, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    for row, i in enumerate(which):
        if cells[i].edges:
            assert found[row].tolist() == [by_hand(cells[i], value, rng) for value in x[row]]


@pytest.mark.parametrize("at_once", [1, 250, 1 << 16])
def test_however_many_are_placed_together_the_places_are_the_same(monkeypatch, at_once):
    rng = np.random.default_rng(1)
    columns = {
        "smooth": rng.normal(size=1000).tolist(),
        "tied": rng.integers(0, 40, 1000).tolist(),
        "few": rng.integers(0, 3, 1000).tolist(),
        "gaps": [None if i % 7 == 0 else i / 3 for i in range(1000)],
    }
    baseline = Baseline.fit(columns, seed=0)

    def places():
        counter = Counter(
            baseline.signals, np.random.default_rng(2), baseline.descriptors, baseline.joint
        )
        table = Table(rows=200, columns={k: v[:200] for k, v in columns.items()})
        table.predicted, table.requests, table.at = [True] * 200, [1] * 200, [0.0] * 200
        return counter.place(table, {*columns, "joint"})

    expected = places()
    monkeypatch.setattr(tally, "AT_ONCE", at_once)
    found = places()
    np.testing.assert_array_equal(found.places, expected.places)
    assert str(found.values) == str(expected.values)
