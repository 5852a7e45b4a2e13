import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.inbox import OVERHEAD, WEIGH, Inbox
from drift_middleware.schemas import Rows
from drift_middleware.tee import unpack

ROOM = 1 << 40
START = {"status": 200, "headers": []}


def inbox(max_bytes=ROOM, rouse=lambda: None, max_per_second=None):
    return Inbox(max_bytes, rouse, max_per_second)


def put(box, size=0, name="", headers=()):
    """Queue an exchange whose bodies have so many bytes."""
    scope = {"method": "POST", "headers": [*headers], "query_string": b""}
    asked = {"type": "http.request", "body": b"x" * (size // 2), "more_body": False}
    answer = {"type": "http.response.body", "body": b"x" * (size - size // 2)}
    box.see(scope, name, "", asked, START, answer)


def names(items):
    return [one.path for one in items]


def test_the_oldest_comes_out_first_and_no_more_than_asked_for():
    box = inbox()
    for name in "abcde":
        put(box, name=name)
    assert names(box.take(2, 0.0)) == ["a", "b"]
    assert names(box.take(100, 0.0)) == ["c", "d", "e"]
    assert box.take(100, 0.0) == []


def test_past_its_bytes_the_newest_is_dropped_and_counted():
    box = inbox(3 * OVERHEAD + 100)
    for name, size in {"a": 40, "b": 40, "too long": 40, "fits": 20}.items():
        put(box, size, name)
    assert names(box.take(100, 0.0)) == ["a", "b", "fits"]
    assert box.dropped == 1


def test_one_item_larger_than_the_whole_queue_is_dropped():
    box = inbox(OVERHEAD)
    put(box, 1)
    assert (box.take(1, 0.0), box.dropped) == ([], 1)


def heavy(size):
    return [(b"host", b"x"), (b"cookie", b"c" * size)]


def test_heavy_headers_are_weighed_while_nobody_reads():
    box = inbox(1_000_000)
    for _ in range(20):
        put(box, headers=heavy(100_000))
    assert (len(box), box.dropped) == (9, 11)
    put(box, name="light")
    assert names(box.take(100, 0.0))[-1] == "light"
    for _ in range(20):
        put(box, headers=heavy(100_000))
    assert (len(box), box.dropped) == (9, 22)


def test_what_is_taken_of_heavy_headers_makes_as_much_room():
    box = inbox(1_000_000)
    for _ in range(9):
        put(box, headers=heavy(100_000))
    box.take(5, 0.0)
    for _ in range(9):
        put(box, headers=heavy(100_000))
    assert (len(box), box.dropped) == (9, 4)


def test_headers_are_not_weighed_while_the_reader_gathers_unless_it_cannot_take():
    box = inbox(1_000_000)
    put(box)  # wakes the reader, which takes it
    box.wait(0, 0)
    box.take(1, 0.0)
    for is_stuck, held in ((False, 200), (True, 9)):
        if is_stuck:
            put(box)
            box.note(0.0)
        waiting = threading.Thread(target=box.wait, args=(60, 60))
        waiting.start()
        while box._limit == WEIGH and not is_stuck:  # it has not begun
            time.sleep(0.001)
        for _ in range(200):
            put(box, headers=heavy(100_000))
        box.hurry()
        waiting.join()
        assert len(box) == held + is_stuck
        while box.take(1000, 0.0):
            pass


def raising():
    yield (b"a", b"b")
    raise RuntimeError


STOPPED = raising()


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (iter([(b"a", b"b")]), [(b"a", b"b")]),
        ([(b"a", None)], [(b"a", None)]),
        ([(b"a",)], [(b"a",)]),
        (None, None),
        (STOPPED, STOPPED),
    ],
)
def test_headers_that_cannot_be_weighed_are_taken_as_they_are(headers, kept):
    box = inbox()
    scope = {"method": "POST", "headers": headers, "query_string": b""}
    asked = {"type": "http.request", "body": b"", "more_body": False}
    box.see(scope, "/", "", asked, START, {"type": "http.response.body", "body": b""})
    (taken,) = box.take(1, 0.0)
    assert unpack(taken, 1.0, 10).request_headers == kept


def test_what_is_taken_makes_room():
    box = inbox(2 * OVERHEAD)
    for _ in range(3):
        put(box)
    box.take(1, 0.0)
    put(box)
    assert (len(box.take(9, 0.0)), box.dropped) == (2, 1)


def test_what_is_rows_already_waits_in_the_same_queue():
    box = inbox(2 * OVERHEAD)
    box.put(Rows(skipped="first"))
    put(box, name="second")
    box.put(Rows(skipped="third"))
    first, second = box.take(9, 0.0)
    assert (first.skipped, second.path, box.dropped) == ("first", "second", 1)


steps = st.lists(st.one_of(st.integers(0, 5000), st.just("rows"), st.just("take")), max_size=60)


@given(steps, st.integers(0, 20 * OVERHEAD))
def test_it_never_holds_more_than_its_bytes_and_loses_nothing_uncounted(steps, max_bytes):
    box, put_in, held, taken = inbox(max_bytes), 0, [], 0
    for step in steps:
        if step == "take":
            taken += len(box.take(1, 0.0))
            del held[:1]
            continue
        before = box.dropped
        box.put(Rows()) if step == "rows" else put(box, step)
        put_in += 1
        if box.dropped == before:
            held.append(OVERHEAD + (0 if step == "rows" else step))
        assert sum(held) <= max_bytes
    assert len(box.take(99, 0.0)) == len(held)
    assert taken + len(held) + box.dropped == put_in


def come(box, number, seconds, at):
    """Let so many come in some seconds, read every tenth of one; say which were queued."""
    kept = []
    for tenth in range(seconds * 10):
        for i in range(number // (seconds * 10)):
            put(box, name=f"{tenth}-{i}")
        now = at + (tenth + 1) / 10
        box.pace(now)
        kept += names(box.take(number, now))
    return kept


def test_of_more_than_so_many_a_second_a_random_sample_is_queued():
    box = inbox(max_per_second=100)
    box.pace(100.0)
    first = come(box, 2000, 1, 100.0)
    assert 300 < len(first) < 900, "within a second it is known how many there are"
    kept = come(box, 20_000, 10, 101.0)
    assert len(kept) == pytest.approx(1000, abs=150)  # five standard deviations
    assert len(first) + len(kept) + box.sampled_out == 22_000
    assert box.dropped == 0
    # Of all places in a second alike, not the first ones of each.
    assert np.mean([int(name.split("-")[1]) for name in kept]) == pytest.approx(99.5, abs=10)


def test_as_many_as_are_allowed_are_queued_all_and_so_they_are_again_after_a_rush():
    box = inbox(max_per_second=100)
    box.pace(100.0)
    come(box, 2000, 1, 100.0)
    come(box, 100, 1, 101.0)  # the last second that is judged by the rush
    before = box.sampled_out
    assert len(come(box, 500, 5, 103.0)) == 500
    assert box.sampled_out == before > 1000


def test_all_is_queued_where_nobody_says_how_many_are_too_many():
    box = inbox()
    assert len(come(box, 5000, 1, 100.0)) == 5000
    assert box.sampled_out == 0


def test_the_lag_is_the_time_since_it_was_last_found_empty():
    box = inbox()
    assert box.lag_seconds(5.0) == 0.0
    box.take(1, now=3.0)
    put(box)
    assert box.lag_seconds(5.0) == pytest.approx(2.0)
    box.take(1, now=6.0)
    assert box.lag_seconds(9.0) == 0.0


def test_the_lag_under_a_load_that_never_lets_it_be_empty_is_that_of_one_round():
    box = inbox()
    put(box)
    put(box)
    box.take(1, now=4.0)
    box.caught_up(3.0)
    assert box.lag_seconds(5.0) == pytest.approx(2.0)


def test_what_cannot_be_taken_yet_keeps_the_moment_by_which_it_came():
    box = inbox()
    for moment, come in ((1.0, "ab"), (2.0, ""), (3.0, "c")):
        for name in come:
            put(box, name=name)
        box.note(moment)
    put(box, name="d")
    taken = []
    while found := names(box.take(9 if taken else 1, now=9.0)):
        taken.append((box.moment, found))
    assert taken == [(1.0, ["a"]), (1.0, ["b"]), (3.0, ["c"]), (9.0, ["d"])]


def test_the_reader_is_roused_once_while_it_sleeps_and_not_while_it_works():
    calls = []
    box = inbox(rouse=lambda: calls.append(1))
    for _ in range(5):
        put(box)
    assert len(calls) == 1
    box.take(5, 0.0)
    put(box)
    assert len(calls) == 1, "it has not gone back to sleep"


def test_a_reader_that_goes_to_sleep_sees_what_came_while_it_worked():
    box = inbox()
    put(box)
    box.wait(idle=60, gather=0)
    box.take(1, 0.0)
    put(box)  # wakes nobody: the reader is awake
    reader = threading.Thread(target=box.wait, args=(60, 0), daemon=True)
    reader.start()
    reader.join(30)
    assert not reader.is_alive()


def test_haste_ends_both_waits_at_once():
    box = inbox()
    put(box)
    reader = threading.Thread(target=box.wait, args=(60, 60), daemon=True)
    reader.start()
    box.hurry()
    reader.join(30)
    assert not reader.is_alive()


def test_no_wake_up_is_lost_and_order_is_kept_while_threads_hammer():
    box, got, each, writers = inbox(), [], 3000, 4

    def write(name):
        for number in range(each):
            put(box, number, name)

    def read():
        while len(got) < each * writers:
            if found := box.take(7, 0.0):
                got.extend(found)
            else:
                # A lost wake-up would sleep here for a minute, which the join below notices.
                box.wait(idle=60, gather=0)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, "abcd"))
    reader.join(30)
    assert not reader.is_alive()
    for name in "abcd":
        sizes = [one.size for one in got if one.path == name]
        assert sizes == list(range(each))
    assert box.dropped == 0


def test_an_exchange_of_requests_and_haste_never_sleeps_through_an_item():
    box, answered = inbox(), threading.Semaphore(0)

    def read():
        for _ in range(2000):
            while not box.take(1, 0.0):
                box.wait(idle=60, gather=60)
            answered.release()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for _ in range(2000):
        put(box)
        box.hurry()
        assert answered.acquire(timeout=30), "asleep with an item in the queue"
    reader.join(30)
    assert not reader.is_alive()
