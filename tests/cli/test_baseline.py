"""`baseline`: what would be watched of a table, and what not."""

import json

import msgspec
import pandas as pd
import pytest

from drift_middleware.drift.baseline import Baseline
from drift_middleware.monitor import Monitor
from tests.cli.conftest import hostile, record, refused, rows, told

TABLE = rows(500) | {"id": [f"u-{i}" for i in range(500)], "zip": [i % 7 + 1 for i in range(500)]}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(TABLE).to_csv("table.csv", index=False)
    return tmp_path


def described(*arguments):
    return json.loads(told("baseline", "table.csv", "--json", *arguments))


def test_the_text_is_what_the_baseline_says_of_itself(here):
    text = told("baseline", "table.csv")
    assert text == f"{Baseline.fit('table.csv').describe()}\n\nNot saved; -o baseline.json does.\n"
    assert "Not watched: 'id', its values are all different (identifiers)." in text
    assert not (here / "baseline.json").exists()


def test_what_is_saved_can_be_served(here):
    text = told("baseline", "table.csv", "-o", "saved.json", "--ignore", "zip")
    assert "Saved to saved.json: DriftMiddleware(app, baseline='saved.json')" in text
    with Monitor(baseline="saved.json", check_every=100) as monitor:
        record(monitor, rows(100, seed=1))
        assert monitor.report().baseline.left_out["zip"] == "ignored"
    again = told("baseline", "saved.json")
    assert again.partition("\n\n")[0] == text.partition("\n\n")[0]


def test_json_says_what_the_text_does(here):
    found, baseline = described(), Baseline.fit("table.csv")
    assert found["fingerprint"] == baseline.fingerprint
    assert found["smallest_shift"] == baseline.smallest_shift
    assert found["left_out"] == baseline.left_out
    signals = {one["name"]: one for one in found["signals"]}
    assert list(signals) == [signal.name for signal in baseline.signals]
    assert signals["city"]["noticed_from_sd"] is None
    assert 0 < signals["age"]["noticed_from_sd"] < 1
    assert 0 < signals["age"]["low_from"] < 1
    assert signals["age"] | {"rows": 500, "missing": 0, "role": "feature"} == signals["age"]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--predictions", "age", "--predictions", "city"], {"predictions": ["age", "city"]}),
        (["--ignore", "age"], {"ignore": ["age"]}),
        (["--kind", "zip=category"], {"kinds": {"zip": "category"}}),
        (["--ordered"], {"ordered": True}),
        (["--segment-by", "city"], {"segment_by": "city"}),
    ],
)
def test_options_are_those_of_fit(here, arguments, options):
    found, baseline = described(*arguments), Baseline.fit("table.csv", **options)
    assert found["fingerprint"] == baseline.fingerprint
    assert {one["column"]: one["role"] for one in found["signals"]} == baseline.roles
    assert found["ordered"] == baseline.ordered
    assert found["segments"] == {name: part.rows for name, part in baseline.segments.items()}


def test_times_are_as_old_as_the_timestamp_says(here):
    days = [f"2026-01-{1 + i % 28:02}T{i % 24:02}:00:00Z" for i in range(560)]
    pd.DataFrame({"sent": days, "came": days[1:] + days[:1]}).to_csv("table.csv", index=False)
    assert "sent.age" in {one["name"] for one in described("--timestamp", "came")["signals"]}


def test_the_options_of_the_server_hold_here_too(here, monkeypatch):
    (here / "drift.toml").write_text("ignore = ['age']\n")
    monkeypatch.setenv("DRIFT_KINDS", "zip=category")
    expected = Baseline.fit("table.csv", ignore=["age"], kinds={"zip": "category"})
    assert described()["fingerprint"] == expected.fingerprint


def test_parquet_is_read(here):
    pd.DataFrame(TABLE).to_parquet("table.parquet")
    found = json.loads(told("baseline", "table.parquet", "--json"))
    assert found["fingerprint"] == described()["fingerprint"]


def test_no_name_colours_a_terminal_or_forges_a_line(here):
    pd.DataFrame(hostile(200)).to_csv("table.csv", index=False)
    text = told("baseline", "table.csv")
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'TABLE'. See drift-middleware baseline --help."),
        (["tabel.csv"], "Did you mean table.csv?"),
        (["table.csv", "-o", "saved.csv"], "told by its name: end it in .json."),
        (["table.csv", "-o", "no/such.json"], "no/such.json: cannot be written"),
        (["table.csv", "--kind", "zip"], "--kind zip: give COLUMN=KIND, such as zip=category."),
        (["table.csv", "--kind", "city=number"], "'city' cannot be number: it holds no number."),
        (["table.csv", "--predictions", "pred"], "predictions: table.csv has no column 'pred'"),
        (["table.csv", "--timestamp", "age"], "column 'age' of table.csv holds no times."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(here, arguments, message):
    assert message in refused("baseline", *arguments)


def test_a_baseline_is_the_same_however_it_was_made(here):
    told("baseline", "table.csv", "-o", "saved.json", "--kind", "zip=category")
    saved = Baseline.load("saved.json")
    fitted = Baseline.fit("table.csv", kinds={"zip": "category"})
    assert msgspec.json.encode(saved) == msgspec.json.encode(fitted)
