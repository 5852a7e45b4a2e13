from drift_middleware.drift.tally import Placed


def count(counter, placed, first=0, last=None):
    """Count some of the rows, as a tally has them: all cells, then the pairs."""
    part = slice(first, last)
    numbers = {name: values[part] for name, values in placed.numbers.items()}
    placed = Placed(placed.places[:, part], {}, numbers)
    (cells,) = counter.count_runs(placed, [placed.places.shape[1]]).tolist()
    return cells + counter.count_pairs(placed).tolist()
