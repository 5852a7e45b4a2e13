import contextlib
import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture.locations import MisfitError, location

DOCUMENT = {
    "a": {"b": [10, 20, {"c": 30}]},
    "items": [{"v": 1, "w": [1, 2]}, {"v": 2, "w": [3]}],
    "": 7,
    "a/b": 1,
    "m~n": 8,
    "k l": [5],
    "0": "zero",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/b/0", 10),
        ("/a/b/2/c", 30),
        ("/", 7),
        ("/a~1b", 1),
        ("/m~0n", 8),
        ("/k l/0", 5),
        ("/0", "zero"),
        ("a.b", [10, 20, {"c": 30}]),
        ("a.b[1]", 20),
        ("a.b[-1].c", 30),
    ],
)
def test_a_location_without_each_is_one_place(text, expected):
    assert location(text).find(DOCUMENT) == (expected, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("items[].v", [1, 2]),
        ("items[*].v", [1, 2]),
        ("/items[]/v", [1, 2]),
        ("items[].w", [[1, 2], [3]]),
        ("items[].w[]", [1, 2, 3]),
        ("items[].nothing", [None, None]),
        ("items[].v.nothing", [None, None]),
        ("items[].w[1]", [2, None]),
    ],
)
def test_each_gives_one_value_for_each_and_none_where_there_is_none(text, expected):
    assert location(text).find(DOCUMENT) == (expected, True)


def test_each_of_a_document_that_is_a_list():
    assert location("[].v").find(DOCUMENT["items"]) == ([1, 2], True)
    assert location("/[]/v").find(DOCUMENT["items"]) == ([1, 2], True)


@pytest.mark.parametrize(
    "text", ["/nothing", "/a/b/9", "/a/b/01", "/a/b/-1", "/a/b/-", "a.nothing", "a[]", "items.v"]
)
def test_what_is_not_there_does_not_fit(text):
    with pytest.raises(MisfitError):
        location(text).find(DOCUMENT)


@pytest.mark.parametrize(
    ("text", "holders"),
    [
        ("items[].v", DOCUMENT["items"]),
        ("items[].w[0]", DOCUMENT["items"]),
        ("items[]", DOCUMENT["items"]),
    ],
)
def test_the_holders_are_what_the_values_are_in(text, holders):
    assert location(text).holders.find(DOCUMENT) == (holders, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~0", max_size=2), inner)
    ),
    max_leaves=10,
)


def places(value, path=""):
    """All pointers of a document, with what is there."""
    yield path, value
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, each in inner:
        token = str(key).replace("~", "~0").replace("/", "~1")
        yield from places(each, f"{path}/{token}")


@given(JSON)
def test_a_pointer_to_any_place_finds_what_is_there(document):
    for pointer, value in places(document):
        if pointer:
            assert location(pointer).find(document)[0] is value


@given(JSON, st.sampled_from(["a[].b", "/a/b", "[][]", "a.b[].a", "[0].b", "length(a)", "a[?b]"]))
def test_a_document_fits_or_it_does_not(document, text):
    with contextlib.suppress(MisfitError):
        location(text).find(document)


def test_other_expressions_are_jmespath():
    assert location("items[?v > `1`].w[]").find(DOCUMENT) == ([3], True)
    assert location("max(items[].v)").find(DOCUMENT) == (2, False)
    with pytest.raises(MisfitError):
        location("items[0] | nothing").find(DOCUMENT)


def test_a_broken_expression_is_an_error():
    with pytest.raises(ValueError, match=r"is no JMESPath: .*items"):
        location("items[?")


def test_without_jmespath_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "drift_middleware.capture.locations.find_spec",
        lambda name: None if name == "jmespath" else importlib.util.find_spec(name),
    )
    assert location("items[].v").find(DOCUMENT)[1]
    with pytest.raises(ValueError, match=r"pip install 'drift-middleware\[jmespath\]'"):
        location("items[?v]")
