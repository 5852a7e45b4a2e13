"""Several workers share a buffer: one changes what is watched, and the others follow."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from tests.faults.serving import prepare, query, start, write_baseline

TOKEN = "s3cret"  # noqa: S105  # of these tests alone


class Worker:
    """One server process, and a client that may change what it says."""

    def __init__(self, folder):
        self.server = start(folder)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.server.port}",
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )

    def predict(self, number, mean=0.0, seed=0):
        amounts = np.random.default_rng(seed).normal(mean, 1, number).tolist()
        for amount in amounts:
            answer = self.client.post("/predict", json={"amount": amount})
            assert answer.json().keys() == {"score"}

    def change(self, what):
        answer = self.client.post(f"/_drift/{what}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def report(self):
        return self.client.get("/_drift").json()

    def header(self):
        """Read the severity from the answer of a path that is not captured."""
        answer = self.client.get("/anything")
        return answer.headers["x-drift-severity"], int(answer.headers["x-drift-check"])

    def end(self):
        self.client.close()
        self.server.terminate()


def wait_until(is_so):
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends, "it did not become so"
        time.sleep(0.02)


@contextmanager
def workers(folder, number=2, **options):
    prepare(folder, token=TOKEN, **options)
    with ThreadPoolExecutor(number) as pool:
        started = list(pool.map(lambda _: Worker(folder), range(number)))
    try:
        yield started
    finally:
        for one in started:
            one.end()


def test_what_one_worker_changes_the_others_say(tmp_path):
    with workers(tmp_path) as (one, other):
        one.predict(150, mean=4)
        other.predict(30, mean=4, seed=1)
        # A worker that is asked writes what it has itself, and what the others have written.
        wait_until(lambda: one.report()["capture"]["requests"] == 180)
        assert other.change("check")["check"]["number"] == 2
        wait_until(lambda: one.header() == ("high", 2))
        requests = query(tmp_path / "drift.db", "SELECT requests FROM checks")
        assert requests == [(100,), (80,)]

        one.change("reset")
        wait_until(lambda: other.header() == ("unknown", 0))
        assert other.report()["status"] == "warming up"

        other.predict(100, mean=4, seed=2)
        wait_until(lambda: one.header() == ("high", 3))
        adopted = other.change("baseline?rows=250")["baseline"]
        assert adopted["rows"] == 250
        wait_until(lambda: one.header() == ("unknown", 0))
        assert one.report()["baseline"] == adopted
        one.predict(60, mean=4, seed=3)
        other.predict(60, mean=4, seed=4)
        wait_until(lambda: one.header() == other.header() == ("none", 4))


def test_traffic_stays_the_baseline_after_a_restart_until_another_one_is_configured(tmp_path):
    with workers(tmp_path, 1) as (one,):
        one.predict(210, mean=4)
        adopted = one.change("baseline")["baseline"]
    assert adopted["source"].startswith("traffic, adopted at ")
    with workers(tmp_path, 1) as (one,):
        assert one.report()["baseline"] == adopted
    write_baseline(tmp_path / "baseline.csv", mean=2.0)
    with workers(tmp_path, 1) as (one,):
        assert one.report()["baseline"]["source"] == "baseline.csv"
        adopted = one.change("baseline")["baseline"]
    with workers(tmp_path, 1) as (one,):
        assert one.report()["baseline"] == adopted


@pytest.mark.parametrize("what", ["check", "baseline"])
def test_all_is_counted_while_everybody_changes_something_at_once(tmp_path, what):
    with workers(tmp_path, keep_rows=5000) as both:
        both[0].predict(220)
        both[0].report()  # writes what it has: the other one is to find enough for a baseline
        with ThreadPoolExecutor(8) as pool:
            sending = [pool.submit(both[i % 2].predict, 100, seed=i) for i in range(4)]
            changing = [pool.submit(both[i % 2].change, what) for i in range(10)]
            for one in (*sending, *changing):
                one.result()
        reports = [one.report() for one in both]
        counted = dict(query(tmp_path / "drift.db", "SELECT name, value FROM counters"))
        assert counted["requests"] == counted["rows"] == 620
        assert query(tmp_path / "drift.db", "SELECT count(*) FROM rows") == [(620,)]
        checked, most = query(
            tmp_path / "drift.db", "SELECT coalesce(sum(requests), 0), max(requests) FROM checks"
        )[0]
        (pending,) = query(tmp_path / "drift.db", "SELECT sum(requests) FROM tallies")[0]
        assert most <= 100
        if what == "check":
            assert checked + (pending or 0) == 620
        else:
            assert reports[0]["baseline"] == reports[1]["baseline"]
            assert reports[0]["baseline"]["source"].startswith("traffic, adopted at ")
