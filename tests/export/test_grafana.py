"""The dashboard asks for nothing that is not there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from drift_middleware.export.metrics import metrics
from drift_middleware.schemas import Report

FOLDER = Path(__file__).parents[2] / "examples" / "grafana"
DASHBOARD = json.loads((FOLDER / "drift.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]
QUERIES = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
NAMES = {metric.full_name for metric in metrics(Report())}
PROMTOOL = shutil.which("promtool", path=os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is in Debian's package prometheus"
)


def named(text):
    return set(re.findall(r"\bdrift_\w+", text))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_only_metrics_that_there_are(query):
    assert named(query)
    assert named(query) <= NAMES


def test_the_job_is_looked_up_by_a_metric_that_there_is():
    (job,) = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert named(job["query"]["query"]) <= NAMES
    assert all('job=~"$job"' in query for query in QUERIES)


def test_the_data_source_is_chosen_and_never_fixed():
    (variable,) = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource"]
    targets = [target for panel in PANELS for target in panel["targets"]]
    uids = {one["datasource"]["uid"] for one in PANELS + targets}
    assert uids == {f"${{{variable['name']}}}"}


def test_panels_have_a_place_and_a_number_of_their_own():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (x, y)
        for panel in PANELS
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_what_people_look_for_is_shown():
    shown = named(" ".join(QUERIES))
    assert {"drift_severity", "drift_signal_moved", "drift_skipped_total"} <= shown
    assert {"stat", "state-timeline", "timeseries"} <= {panel["type"] for panel in PANELS}


def check_rules(path, content):
    path.write_text(content)
    return subprocess.run(
        [PROMTOOL, "check", "rules", path], capture_output=True, text=True, check=False
    )


@needs_promtool
def test_promtool_can_read_every_query(tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    groups = json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})
    done = check_rules(tmp_path / "rules.yml", groups)
    assert (done.returncode, done.stderr) == (0, "")


@needs_promtool
def test_promtool_can_read_the_rules_that_are_shown(tmp_path):
    (shown,) = re.findall(
        r"```yaml\n(groups:.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL
    )
    assert named(shown) <= NAMES
    assert check_rules(tmp_path / "rules.yml", shown).returncode == 0
