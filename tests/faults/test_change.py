"""What changes around running servers: the baseline's file, the clock."""

import pytest

from tests.faults.load import send
from tests.faults.serving import UVICORN, prepare, serving, start, write_baseline

NUMBERS = [float(number) for number in range(250)]
CLOCK = """
import time
from pathlib import Path

real = time.time
time.time = lambda: real() + float(Path("offset").read_text() or 0)

from app import app
"""


def test_baseline_changed_under_running_servers(tmp_path, record_property):
    prepare(tmp_path)
    one, other = start(tmp_path), start(tmp_path)
    try:
        send(one.port, NUMBERS)
        send(other.port, NUMBERS)
        old = one.report()["baseline"]["fingerprint"]
        write_baseline(tmp_path / "baseline.csv", mean=5.0)
        send(one.port, NUMBERS)
        assert one.report()["baseline"]["fingerprint"] == old, "read once, when a server starts"

        other.terminate()
        other = start(tmp_path)
        new = other.report()["baseline"]["fingerprint"]
        assert new != old
        one.wait_for(lambda said: said["baseline"]["fingerprint"] == new)
        for server in (one, other, one, other):
            send(server.port, NUMBERS)
        said = one.wait_for(lambda said: said["capture"]["requests"] == 7 * len(NUMBERS))
        assert (said["status"], said["capture"]["dropped"]) == ("watching", 0)
        # 750 requests made seven checks of the old baseline, and left 50 that none can use.
        checks = one.query("SELECT fingerprint, count(*), sum(requests) FROM checks GROUP BY 1")
        assert {fingerprint: rest for fingerprint, *rest in checks} == {
            old: [7, 700],
            new: [10, 1000],
        }
    finally:
        for server in (one, other):
            server.terminate()
    record_property("figures", "1,750 answered and counted; both workers compare with the new one")


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_clock_jumps_by_a_day(jump, tmp_path, record_property):
    folder, offset = tmp_path / "app", tmp_path / "app" / "offset"
    prepare(folder, check_every=50)
    (folder / "clocked.py").write_text(CLOCK)
    offset.write_text("0")
    with serving(folder, UVICORN.replace("app:app", "clocked:app"), check_every=50) as server:
        send(server.port, NUMBERS)
        offset.write_text(str(jump))
        send(server.port, NUMBERS)
        said = server.report()
        assert said["status"] == "watching"
        assert said["capture"]["requests"] == 2 * len(NUMBERS)
        assert said["check"]["number"] == 10
        assert said["capture"]["lag_seconds"] < 10
        spans = server.query("SELECT max(at) - min(at) FROM rows")
        assert spans[0][0] > 80_000, "the clock has jumped"
    record_property("figures", "500 answered and counted, 10 checks of 10")
