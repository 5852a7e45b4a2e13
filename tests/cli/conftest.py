import numpy as np
import pytest
from click.testing import CliRunner

from drift_middleware.cli import main
from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor

RED = "\x1b[31mred\x1b[0m"
NAMES = {
    "ansi": f"{RED}\r\nalarm: high",
    "markup": "<script>alert(1)</script>|*x*",
    "sql": 'x"; DROP TABLE rows; --',
    "formula": "=cmd|' /C calc'!A0",
}
"columns that strangers named"


class Clock:
    def __init__(self, now=1_700_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


def rows(count, *, shift=0.0, seed=0):
    """Draw rows of which `amount` and `city` move by `shift`."""
    rng = np.random.default_rng(seed)
    cities = rng.choice(["Oslo", "Rome", "Bonn"], count, p=[0.5 - shift / 4, 0.3 + shift / 4, 0.2])
    return {
        "amount": (rng.lognormal(size=count) * (1 + 3 * shift)).tolist(),
        "city": cities.tolist(),
        "age": rng.normal(40, 9, count).tolist(),
        "predicted": (rng.normal(size=count) + shift).tolist(),
    }


def record(monitor, table):
    names = [name for name in table if name != "predicted"]
    for values in zip(*table.values(), strict=True):
        row = dict(zip(table, values, strict=True))
        monitor.record({name: row[name] for name in names}, row.get("predicted"))
    assert monitor.drain(60)


def hostile(count, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return {name: (rng.normal(size=count) + shift).tolist() for name in NAMES.values()}


def run(*arguments, columns=80, stdin=None, color=False):
    return CliRunner().invoke(
        main,
        [*map(str, arguments)],
        env={"COLUMNS": str(columns)},
        input=stdin,
        color=color,
        prog_name="drift-middleware",
    )


def told(*arguments, **options):
    """Run a command that succeeds and has nothing to say on the standard error."""
    done = run(*arguments, **options)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def refused(*arguments, **options):
    """Run a command that is wrong: one line says so."""
    done = run(*arguments, **options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture(scope="session")
def buffer(tmp_path_factory):
    """Give the database of a server that saw 300 quiet rows, an hour later 200 that moved."""
    path, clock = tmp_path_factory.mktemp("served") / "drift.db", Clock()
    baseline = Baseline.fit(rows(2000), source="baseline.csv")
    with Monitor(baseline=baseline, buffer=path, check_every=100, clock=clock) as monitor:
        record(monitor, rows(300, seed=1))
        clock.now += 3600
        record(monitor, rows(200, seed=2, shift=1.0))
    return path


@pytest.fixture(scope="session")
def hostile_buffer(tmp_path_factory):
    """Give the database of a server whose clients chose the names of columns."""
    path = tmp_path_factory.mktemp("hostile") / "drift.db"
    baseline = Baseline.fit(hostile(1000))
    with Monitor(baseline=baseline, buffer=path, check_every=100, clock=Clock()) as monitor:
        record(monitor, hostile(300, seed=1, shift=1.0))
    return path
