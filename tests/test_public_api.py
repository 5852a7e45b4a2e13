import json
import subprocess
import sys
from pathlib import Path

import pytest

import drift_middleware
from drift_middleware import Baseline

ROOT = Path(__file__).parents[1]
LOADED = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"

SERVE = """
import sys
from drift_middleware import Monitor

one = Monitor(baseline=sys.argv[1], buffer=sys.argv[2], check_every=10)
for number in range(25):
    one.record({"age": number % 7, "city": "Oslo"}, 0.5)
assert one.drain(60)
assert one.report().check.number == 2
assert one.history(10)
one.close()
"""

MIDDLEWARE = """
import sys
from drift_middleware import DriftMiddleware

async def app(scope, receive, send): ...

DriftMiddleware(app, baseline=sys.argv[1], buffer=sys.argv[2])
"""


def loaded(code, *arguments):
    """Run a program, and give the modules that it has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_all_names_are_sorted_and_there():
    names = drift_middleware.__all__
    assert names == sorted(names)
    for name in names:
        assert getattr(drift_middleware, name).__name__ == name
    assert set(names) <= set(dir(drift_middleware))


def test_every_name_is_offered_by_the_module_where_it_lives():
    homes = drift_middleware._HOMES
    assert list(homes) == drift_middleware.__all__
    for name, home in homes.items():
        assert getattr(drift_middleware, name).__module__ == f"drift_middleware.{home}"


def test_nothing_public_is_left_out():
    errors = [name for name in vars(drift_middleware.errors) if name.endswith("Error")]
    assert set(errors) <= set(drift_middleware.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'drift_middleware' has no attribute 'Nobody'"):
        _ = drift_middleware.Nobody


def test_importing_the_package_loads_nothing_of_others():
    before = loaded("")
    ours = loaded("import drift_middleware") - before
    others = {name.partition(".")[0] for name in ours} - set(sys.stdlib_module_names)
    assert others == {"drift_middleware"}
    assert [name for name in ours if name.startswith("drift_middleware.")] == []


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "baseline.json"
    rows = {"age": [number % 9 for number in range(90)], "city": ["Oslo"] * 90}
    Baseline.fit(rows).save(path)
    return str(path), str(tmp_path / "drift.db")


PROGRAMS = pytest.mark.parametrize("code", [SERVE, MIDDLEWARE], ids=["recording", "middleware"])


@PROGRAMS
def test_serving_with_a_saved_baseline_does_not_load_scipys_statistics(saved, code):
    modules = loaded(code, *saved)
    assert "drift_middleware.recorder" in modules
    assert "scipy.stats" not in modules


@PROGRAMS
def test_serving_with_a_saved_baseline_does_not_load_pandas(saved, code):
    assert loaded(code, *saved) & {"pandas", "pyarrow"} == set()


@PROGRAMS
def test_serving_does_not_load_what_alerts_and_metrics_need(saved, code):
    modules = loaded(code, *saved)
    assert "drift_middleware.alerting" in modules
    assert modules & {"apprise", "prometheus_client", "opentelemetry", "urllib.request"} == set()
    assert "drift_middleware.export.targets" not in modules
