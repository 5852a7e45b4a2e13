"""More comes than can be read: it is dropped, counted, and said to be a sample; memory is flat."""

import json
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.faults.load import send
from tests.faults.locking import locked
from tests.faults.serving import serving
from tests.markup import Reader

MEGABYTE = 1 << 20
QUEUE = 2 * MEGABYTE
ROWS = 1500
"in one request: to read them takes longer than to answer it"
REQUESTS = 1200


def numbers(count):
    return [float(number % 1000) for number in range(count)]


def test_overload(tmp_path, record_property):
    options = {"max_queue_bytes": QUEUE, "store": "tallies"}
    with serving(tmp_path / "app", **options) as server:
        send(server.port, numbers(100), rows=ROWS)
        server.wait_for(lambda said: said["capture"]["queued"] == 0)
        before = server.resident()
        send(server.port, numbers(REQUESTS), connections=8, rows=ROWS)
        grown = (server.resident() - before) / MEGABYTE
        said = server.wait_for(lambda said: said["capture"]["queued"] == 0)
        seen, page = said["capture"], server.page()
        assert seen["requests"] + seen["dropped"] == 100 + REQUESTS
        assert seen["rows"] == ROWS * seen["requests"]
        assert seen["dropped"] > REQUESTS / 10, "this is no overload"
        assert 0 < seen["sampled"] < 1
        assert said["status"] == "watching"
        assert f"{100 * seen['sampled']:.1f} %" in page
        assert "could be read" in page
        assert grown < 40, "of the 66 MB that were sent"
        assert server.log().count("dropped: ") == 1, "said once a minute, not at every request"
        # Two checks of which nothing is lost, and what is said is of all traffic again.
        for _ in range(10):
            send(server.port, numbers(20), connections=1, depth=1)
            server.report()
        after = server.wait_for(lambda said: said["capture"]["queued"] == 0)
        assert after["capture"]["sampled"] == 1.0
        assert after["capture"]["dropped"] == seen["dropped"]
        assert "could be read" not in server.page()
    record_property(
        "figures",
        f"{100 + REQUESTS:,} answered: {seen['requests']:,} read, {seen['dropped']:,} dropped and"
        f" counted; `sampled` {seen['sampled']:.2f}; memory {grown:+.0f} MB",
    )


def test_heavy_headers(tmp_path, record_property):
    """They wait, too, and are weighed while nobody can read them."""
    headers = {"x-padding": "p" * 50_000, "content-type": "application/json"}
    with serving(tmp_path / "app", max_queue_bytes=4 * QUEUE) as server:
        send(server.port, numbers(100))
        server.wait_for(lambda said: said["capture"]["queued"] == 0)
        before = server.resident()
        with (
            locked(server.database),
            closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection,
        ):
            for number in numbers(REQUESTS):
                connection.request("POST", "/predict", json.dumps({"amount": number}), headers)
                with connection.getresponse() as answer:
                    assert json.load(answer) == {"score": number}
            grown = (server.resident() - before) / MEGABYTE
        said = server.wait_for(lambda said: said["capture"]["queued"] == 0)
        seen = said["capture"]
        assert seen["requests"] + seen["dropped"] == 100 + REQUESTS
        assert seen["dropped"] > REQUESTS / 2
        assert grown < 24, "of the 60 MB that were sent"
    record_property(
        "figures",
        f"{100 + REQUESTS:,} answered, {REQUESTS:,} with 50 kB of headers: {seen['dropped']:,}"
        f" dropped and counted; memory {grown:+.0f} MB",
    )


def test_sampling(tmp_path, record_property):
    """Of more than so many a second a sample is read, and nobody is told of an overload."""
    with serving(tmp_path / "app", max_per_second=100, check_every=100) as server:
        answered = 0
        while server.report()["capture"]["sampled_out"] < 2000:
            answered += 500
            send(server.port, numbers(500))
            assert answered < 100_000, "no sample is made"
        said = server.wait_for(lambda said: said["capture"]["queued"] == 0)
        seen, page = said["capture"], server.page()
        assert seen["requests"] + seen["sampled_out"] == answered
        assert (seen["dropped"], said["status"]) == (0, "watching")
        assert 0 < seen["sampled"] < 1
        assert "were read, chosen at random, as max_per_second wants it." in Reader(page).text
        assert server.query("SELECT sum(requests) FROM checks")[0][0] <= seen["requests"]
        assert "dropped" not in server.log()
    record_property(
        "figures",
        f"{answered:,} answered: {seen['requests']:,} read, {seen['sampled_out']:,} sampled out",
    )


def test_upload_of_a_gigabyte(tmp_path, record_property):
    chunk, chunks = b"x" * MEGABYTE, 1024
    with serving(tmp_path / "app") as server:
        send(server.port, numbers(100))
        before, resident = server.resident(), []

        def body():
            for number in range(chunks):
                yield chunk
                if number % 16 == 0:
                    resident.append(server.resident())

        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            length = {"content-length": str(chunks * MEGABYTE)}
            connection.request("POST", "/upload", body(), length)
            with connection.getresponse() as answer:
                assert json.load(answer) == {"bytes": chunks * MEGABYTE}
                assert answer.headers["x-drift-severity"]
        grown = (max(resident) - before) / MEGABYTE
        assert grown < 16
        assert server.report()["capture"]["skipped"] == {"body over the limit": 1}
    record_property("figures", f"answered and counted; memory {grown:+.1f} MB at most")


def test_endless_stream_of_events(tmp_path, record_property):
    with serving(tmp_path / "app") as server:
        send(server.port, numbers(100))
        before, resident, heard = server.resident(), [], 0
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("POST", "/events", b"{}")
            with connection.getresponse() as answer:
                assert answer.headers["x-drift-severity"]
                while heard < 256 * MEGABYTE:
                    heard += len(answer.read(MEGABYTE))
                    resident.append(server.resident())
        grown = (max(resident) - before) / MEGABYTE
        assert grown < 16
        server.wait_for(lambda said: sum(said["capture"]["skipped"].values()) == 1)
        send(server.port, numbers(100))
        assert server.report()["capture"]["rows"] == 200
    record_property("figures", f"256 MB heard; memory {grown:+.1f} MB at most")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_soak_of_a_minute(tmp_path):
    from tests.faults.soak import soak

    soaked = soak(tmp_path / "app", minutes=1)
    assert soaked.holds, "\n".join(soaked.lines())
