from itertools import product

import numpy as np
import pytest

from drift_middleware.drift import evidence
from drift_middleware.drift.cells import cut_levels, cut_numbers
from drift_middleware.drift.channels import Channels
from drift_middleware.drift.signals import Signal
from drift_middleware.drift.tally import Counter
from drift_middleware.schemas import Table
from tests.counting import count


def test_the_urn_is_a_law_of_ordered_draws_and_the_bets_are_fair():
    channels = Channels([Signal("x", "x", "feature", cut_levels(["a", "a", "b"]))], {})
    urn, learned = np.array([2.5, 0.5, 2, 4, 1, 3, 0.5]), np.array([0, 1.5, 3, 2, 2, 0.0, 7])
    for channel, cells in enumerate([slice(0, 3), slice(3, 5), slice(5, 7)]):
        probability, e_values = 0.0, np.zeros(evidence.BETS)
        for draws in product(range(cells.start, cells.stop), repeat=4):
            rows = np.bincount(draws, minlength=7).astype(float)
            law = np.exp(evidence.log_urn(channels, rows, urn)[channel])
            bets = np.exp(evidence.log_e_values(channels, rows, urn, learned)[:, channel])
            probability += law
            e_values += law * bets
        assert probability == pytest.approx(1)
        assert e_values == pytest.approx(1), "and every bet is fair under it"


@pytest.mark.parametrize("decimals", [9, 0], ids=["no ties", "heavy ties"])
def test_each_bet_is_fair_whatever_the_distribution(decimals):
    rng = np.random.default_rng(7)
    watched = [
        Signal(f"x{i}", f"x{i}", "feature", cut_numbers(sample.round(decimals), rng))
        for i, sample in enumerate(rng.lognormal(2, 1, (4000, 60)))
    ]
    counter, fresh = Counter(watched, rng), rng.lognormal(2, 1, (4000, 3)).round(decimals)
    table = Table(rows=3, columns={f"x{i}": list(row) for i, row in enumerate(fresh)})
    table.predicted = [True] * 3
    placed = counter.place(table, list(table.columns))
    channels = Channels(watched, {})
    rows = channels.counts(np.array(count(counter, placed)))
    nothing = np.zeros_like(channels.baseline)
    e_values = np.exp(evidence.log_e_values(channels, rows, channels.baseline, nothing))
    for kind in ("value", "unseen"):
        chosen = e_values[:, np.array(channels.kinds) == kind]
        error = chosen.std(axis=1) / np.sqrt(chosen.shape[1])
        assert (np.abs(chosen.mean(axis=1) - 1) < 4 * error).all()
        assert (chosen.std(axis=1) > 0.01).all(), "the bets are bets"
