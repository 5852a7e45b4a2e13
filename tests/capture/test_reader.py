import json

from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture import read, reader
from drift_middleware.capture.reader import MAX_ENDPOINTS, MOST_REPORTED, Reader
from drift_middleware.schemas import Exchange

JSON = b"application/json"
RECORD = {"age": 31, "home": {"city": "Oslo"}}
INSTANCES = {"instances": [{"age": 31}, {"age": 54}]}


def exchange(asked, answer=0.5, path="/predict", kind=JSON, **more):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    headers = [(b"host", b"here"), (b"Content-Type", kind)]
    answer = json.dumps(answer).encode()
    return Exchange(
        "POST", path, request_headers=headers, request_body=body, response_body=answer, **more
    )


def only(one):
    (report,) = one.report()
    return report


def test_what_was_recognised_is_reported_with_names_and_no_values():
    one = Reader()
    for _ in range(3):
        one.read(exchange(RECORD, {"label": "yes", "score": 0.5}, route="/{model}"))
    report = only(one)
    assert (report.endpoint, report.content_type) == ("/{model}", "application/json")
    assert (report.format, report.requests, report.rows) == ("record", 3, 3)
    assert report.fields == ["age", "home.city"]
    assert report.outputs == ["label", "score"]
    assert (report.skipped, report.unaligned, report.changes) == ({}, 0, 0)


def test_a_format_is_pinned_after_five_exchanges_that_agree():
    one = Reader()
    for expected in (False, False, False, False, True, True):
        one.read(exchange(RECORD))
        assert only(one).pinned is expected


def test_a_pinned_format_that_fails_is_detected_afresh_and_counted_as_a_change():
    one = Reader()
    for _ in range(5):
        one.read(exchange(INSTANCES, [1, 2]))
    assert only(one).pinned
    rows = one.read(exchange({"instances": 5, "age": 3}))
    assert rows.format == "record"
    report = only(one)
    assert (report.format, report.pinned, report.changes) == ("record", False, 1)
    for _ in range(4):
        one.read(exchange(RECORD))
    assert only(one).pinned


def test_records_that_are_pinned_do_not_swallow_other_formats():
    one = Reader()
    for _ in range(9):
        one.read(exchange(RECORD))
    asked = {"signature_name": "serving_default", **INSTANCES}
    assert one.read(exchange(asked, {"predictions": [1, 2]})) == read(
        exchange(asked, {"predictions": [1, 2]})
    )


def test_what_gives_no_rows_is_counted_with_its_reason_and_does_not_unpin():
    one = Reader()
    for _ in range(5):
        one.read(exchange(INSTANCES, [1, 2]))
    one.read(exchange(b"{"))
    one.read(exchange(INSTANCES, status=422))
    one.read(exchange(INSTANCES, [1, 2, 3]))
    report = only(one)
    assert report.skipped == {"body is not JSON": 1, "status 4xx": 1}
    assert (report.unaligned, report.pinned, report.requests) == (1, True, 8)


def test_content_types_of_an_endpoint_are_told_apart_without_their_parameters():
    one = Reader()
    one.read(exchange(RECORD, kind=b"Application/JSON; charset=utf-8"))
    one.read(exchange(RECORD))
    one.read(exchange(b"age\n31\n", kind=b"text/csv"))
    assert {report.content_type: report.requests for report in one.report()} == {
        "application/json": 2,
        "text/csv": 1,
    }


def test_the_columns_settle_what_a_body_leaves_open():
    one = Reader(["a", "b", "c", "d"])
    asked = exchange({"input": [5.1, 3.5, 1.4, 0.2]}, None)
    assert one.read(asked).features == [[5.1, 3.5, 1.4, 0.2]]
    one.columns = ["a"]
    assert len(one.read(asked).features) == 4


def test_the_most_requested_come_first_and_are_so_many_at_most():
    one = Reader()
    for number in range(MOST_REPORTED + 10):
        for _ in range(1 + number % 7):
            one.read(exchange(RECORD, path=f"/{number}"))
    requests = [report.requests for report in one.report()]
    assert requests == sorted(requests, reverse=True)
    assert len(requests) == MOST_REPORTED


def test_memory_is_bounded_and_the_rest_share_an_entry(monkeypatch):
    monkeypatch.setattr(reader, "MAX_ENDPOINTS", 3)
    one = Reader()
    for number in range(9):
        one.read(exchange(RECORD, path=f"/{number}"))
    assert {report.endpoint: report.requests for report in one.report()} == {
        "*": 6,
        "/0": 1,
        "/1": 1,
        "/2": 1,
    }
    assert not one.report()[0].pinned
    assert MAX_ENDPOINTS == 1000


def test_paths_that_are_tried_at_random_take_no_room():
    one = Reader()
    for number in range(9):
        one.read(exchange(RECORD, path=f"/{number}", status=404))
    one.read(exchange(RECORD, route="/models/{name}", status=500))
    assert [(report.endpoint, report.requests) for report in one.report()] == [
        ("*", 9),
        ("/models/{name}", 1),
    ]


def test_names_are_few_and_short():
    one = Reader()
    for number in range(9):
        names = [f"{number}.{i}." + "x" * 500 for i in range(30)]
        one.read(exchange(dict.fromkeys(names, 1), dict.fromkeys(names, 2)))
    report = only(one)
    assert (len(report.fields), len(report.outputs)) == (20, 20)
    assert max(map(len, report.fields + report.outputs)) == 100


def test_a_report_is_a_copy():
    one = Reader()
    one.read(exchange(RECORD))
    one.read(exchange(b"{"))
    report = only(one)
    one.read(exchange({"other": 1}, {"more": 2}))
    one.read(exchange(b"{"))
    assert (report.requests, report.fields) == (2, ["age", "home.city"])
    assert report.skipped == {"body is not JSON": 1}


BODIES = st.sampled_from([RECORD, INSTANCES, [[1, 2]], [1, 2], {}, "x", {"inputs": [[1], [2]]}])


@given(st.lists(st.tuples(BODIES, st.sampled_from([0, [1, 2], {"predictions": [3, 4]}]))))
def test_to_remember_changes_nothing_that_is_read(traffic):
    one = Reader()
    for asked, answer in traffic:
        assert one.read(exchange(asked, answer)) == read(exchange(asked, answer))
    assert sum(report.requests for report in one.report()) == len(traffic)


def test_headers_that_are_no_bytes_stop_nothing():
    broken = exchange(RECORD)
    broken.request_headers = [(b"content-type", None)]
    assert Reader().read(broken).skipped == "unreadable"
