"""What an endpoint is known for is read quickly, and gives what `read` gives."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_middleware.capture import read, tabulate
from drift_middleware.capture.flat import MOST_KNOWN, Flat, Flats
from drift_middleware.capture.formats import KEYS
from drift_middleware.capture.reader import PINNED_AFTER, Reader
from drift_middleware.capture.records import MOST_ROWS
from drift_middleware.capture.relevance import is_about, is_bare
from drift_middleware.schemas import Exchange

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),  # NaN and infinities are no JSON, and are sent all the same
    st.text(max_size=5),
)
VALUES = st.recursive(SCALARS, lambda of: st.lists(of, max_size=2), max_leaves=3)
PLAIN = ["a", "b", "c", "d.e", "ä", "class", "", "?"]
ODD = ['f"', "inputs", "b64", "\0", "\n", "\ud800"]
NAMES = st.sampled_from(PLAIN + ODD)
FLAT = st.dictionaries(st.sampled_from(PLAIN), SCALARS, min_size=2)
RECORDS = st.dictionaries(NAMES, VALUES, max_size=5)
ANSWERS = st.one_of(
    SCALARS,
    st.lists(VALUES, max_size=2),
    RECORDS,
    st.fixed_dictionaries({"prediction": VALUES}),
    st.fixed_dictionaries({"error": st.text(max_size=3)}),
)
COLUMNS = ["a", "b"]


def exchange(body, answer=b"0.5", status=200, **more):
    return Exchange(
        "POST", "/predict", request_body=body, response_body=answer, status=status, **more
    )


def bodies(record):
    """Write a record as clients do: in their own order, with spaces, with escapes, twice a name."""
    return st.one_of(
        st.permutations(list(record.items())).map(lambda items: json.dumps(dict(items)).encode()),
        st.just(json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8", "replace")),
        st.just(b" " + json.dumps(record).encode()),
        st.just(json.dumps(record).encode() + b"\n"),
        st.just(json.dumps(record).encode()[:-1] + b', "a": 1}'),
        st.just(json.dumps(record).encode("utf-16")),
        st.binary(max_size=3).map(lambda more: json.dumps(record).encode() + more),
    )


def written(rows):
    """Write rows so that all that matters can be compared: 1 is not True, and NaN is NaN."""
    if rows.names is not None:
        rows.features = [dict(zip(rows.names, row, strict=True)) for row in rows.features]
        rows.names = None
    rows.features = [sorted(row.items()) for row in rows.features]
    rows.predictions = rows.predictions and [*rows.predictions]
    return repr(rows)


@settings(max_examples=500)
@given(FLAT, st.data())
def test_what_is_read_quickly_is_what_is_read_slowly(known, data):
    flat = Flat.of(known)
    others = st.fixed_dictionaries(dict.fromkeys(known, SCALARS))
    changed = RECORDS.map(lambda record: known | record)
    sent = data.draw(st.one_of(others, others, others, changed, RECORDS))
    answer = json.dumps(data.draw(ANSWERS)).encode()
    asked = exchange(data.draw(bodies(sent)), answer, data.draw(st.sampled_from([200, 204, 500])))
    found = flat.read(asked)
    if found is not None:
        assert written(found) == written(read(asked, columns=COLUMNS))


@given(FLAT)
def test_the_record_that_is_known_is_read_quickly(record):
    body = json.dumps(record).encode()
    found = Flat.of(record).read(exchange(body))
    is_json = b"Infinity" not in body and b"NaN" not in body
    assert (found is not None) == is_json
    if is_json:
        assert (found.names, found.format) == (tuple(record), "record")


def test_numbers_too_large_for_a_machine_word_stay_what_they_are():
    body = b'{"a": %d, "b": -%d}' % (2**70, 2**63)
    assert Flat.of({"a": 1, "b": 2}).read(exchange(body)).features == ((2**70, -(2**63)),)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"a": 1},
        {"a": 1, "b": [2]},
        {"a": 1, "b": {"c": 2}},
        {"a": 1, "b64": "AAAA"},
        {"a": 1, min(KEYS): 2},
        {str(i): i for i in range(501)},
        {"a": 1, "b\0": 2},
        [1, 2],
        "text",
    ],
    ids=lambda row: str(row)[:30],
)
def test_what_may_be_more_than_one_row_is_never_known(row):
    assert Flat.of(row) is None


def test_a_body_of_many_brackets_is_left_to_those_who_count_them():
    body = json.dumps({"a": 1, "b": "[" * (3 * MOST_ROWS)}).encode()
    assert Flat.of({"a": 1, "b": ""}).read(exchange(body)) is None
    assert read(exchange(body)).skipped == "too many rows or values"


def test_an_answer_nobody_may_go_by_is_left_to_those_who_say_why():
    answer = b"[" + b"[]," * MOST_ROWS + b"[]]"
    asked = exchange(b'{"a": 1, "b": 2}', answer)
    assert Flat.of({"a": 1, "b": 2}).read(asked) is None
    assert read(asked).skipped == "too many rows or values"


# An endpoint and what it is known for.

RECORD = {"a": 1, "b": "x"}


def asked(record, answer=0.5):
    return exchange(json.dumps(record).encode(), json.dumps(answer).encode())


def until_known(reader, record=RECORD):
    for i in range(100):
        rows = reader.read(asked(record))
        if rows.names is not None:
            return i
    return None


def test_an_endpoint_becomes_known_and_is_counted_on():
    reader = Reader(COLUMNS)
    assert until_known(reader) == 2 * PINNED_AFTER - 1
    reader.read(asked(RECORD, [1, 2]))
    (report,) = reader.report()
    assert (report.requests, report.rows, report.unaligned) == (11, 11, 1)
    assert (report.format, report.pinned, report.fields) == ("record", True, ["a", "b"])


def test_nothing_is_known_while_no_columns_are():
    assert until_known(Reader()) is None


def test_a_record_with_another_name_is_read_whole_and_in_the_end_known_instead():
    reader, more = Reader(COLUMNS), {**RECORD, "c": 1}
    until_known(reader)
    assert reader.read(asked(more)).features == [more]
    assert until_known(reader, more) == 2 * PINNED_AFTER - 1
    assert until_known(reader, RECORD) == 4 * PINNED_AFTER


def test_clients_that_send_other_names_each_time_cost_few_decoders(monkeypatch):
    made = []
    monkeypatch.setattr(Flat, "__init__", lambda self, names: made.append(names))
    monkeypatch.setattr(Flat, "read", lambda self, exchange: None)
    reader = Reader(COLUMNS)
    for i in range(10_000):
        reader.read(asked({"a": 1, f"b{i}": 2}))
    assert 5 < len(made) <= 11


def test_endpoints_that_are_asked_alike_share_a_decoder_and_no_endpoint_makes_too_many():
    flats = Flats()
    first = flats.of(RECORD)
    assert flats.of(dict(RECORD)) is first is not None
    for i in range(MOST_KNOWN):
        flats.of({"a": 1, f"b{i}": 2})
    assert flats.of({"a": 1, "one more": 2}) is None
    assert flats.of(RECORD) is first
    assert flats.of([1, 2]) is None


# Its rows, laid in columns.


def laid(batch, **more):
    options = {"features": COLUMNS, "predictions": ["prediction"], "at": [0.0] * len(batch)}
    return tabulate(batch, **(options | more))


@pytest.mark.parametrize(
    "records",
    [
        [RECORD, {"a": 2, "b": None}],
        [RECORD, {"b": "y", "a": 2}],
        [RECORD, {**RECORD, "c": 3, "prediction": 4}],
        [RECORD, {"a": 5}],
        [RECORD, [1, 2]],
        [{**RECORD, "c": 3}, {**RECORD, "c": 4}],
    ],
    ids=str,
)
@pytest.mark.parametrize("features", [COLUMNS, ["b", "a", "other"], None], ids=str)
@pytest.mark.parametrize("predictions", [["prediction"], [], None], ids=str)
@pytest.mark.parametrize("beside", [(), ("c",)], ids=str)
def test_quick_and_slow_rows_give_one_table(records, features, predictions, beside):
    exchanges = [asked(record) for record in records]
    slow = [read(one, columns=COLUMNS) for one in exchanges]
    quick = [
        (flat and flat.read(one)) or rows
        for one, flat, rows in zip(exchanges, map(Flat.of, records), slow, strict=True)
    ]
    assert any(rows.names for rows in quick)
    options = {"features": features, "predictions": predictions, "beside": beside}
    assert laid(quick, **options) == laid(slow, **options)


@pytest.mark.parametrize("features", [["a"], ["c"], ["a.b"], ["b", "c"]], ids=str)
def test_quick_and_slow_rows_are_about_the_same(features):
    one = asked(RECORD)
    quick, slow = Flat.of(RECORD).read(one), read(one)
    assert is_about(quick, features) == is_about(slow, features)
    assert is_bare(quick) == is_bare(slow)
