# ruff: noqa: RUF001 - marks of many scripts are what this is about
import sys
import uuid

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_middleware.drift.descriptors import texts
from drift_middleware.drift.descriptors.texts import Text, has_extras, is_text

PLAIN = Text(b"", language=False)
FULL = Text(b"", language=True)
ENGLISH = "The parcel arrived a day late, but the shoes are wonderful and fit me very well."
GERMAN = "Das Paket kam einen Tag zu spät, aber die Schuhe sind wunderbar und passen sehr gut."
NO_TEXTS = [None, float("nan"), 5, 5.5, True, b"bytes", [], ["a text"], {}, object()]

rng = np.random.default_rng(0)
WORDS = ["red", "blue", "green", "small", "large", "old", "new", "fast", "slow", "warm", "cold"]


def draw(*choices, rows=400):
    return [" ".join(rng.choice(words) for words in choices) for _ in range(rows)]


NUMBERS = [str(number) for number in range(1, 400)]
COLUMNS = {
    "name": draw(["Ann", "Bob", *WORDS], [f"{a}{b}" for a in WORDS for b in WORDS]),
    "address": draw(NUMBERS, WORDS, ["Street,", "Road,"], ["Springfield", "New York"]),
    "query": draw(WORDS, ["", *WORDS], WORDS, WORDS),
    "review": draw(*[WORDS] * 12),
    "review, few of them": draw(*[WORDS] * 60, rows=5),
    "review in Chinese": ["".join(rng.choice(list("我你他很好吃喝看，"), 12)) for _ in range(99)],
    "city": draw(["Boston", "New York", "Los Angeles", "Chicago", "San Diego"]),
    "job": draw(WORDS, ["engineer", "nurse"]),
    "plan": draw(["gold plan with all extras", "silver plan", "no plan at all"]),
    "uuid": [str(uuid.UUID(int=int(i), version=4)) for i in rng.integers(0, 2**60, 400)],
    "code": [f"a{i}f-{i % 7}2" for i in range(400)],
    "plate": [f"ABC {i}" for i in range(400)],
    "e-mail": [f"user.{i}@example.org" for i in range(400)],
    "url": [f"https://example.org/a-page/{i}?q=1" for i in range(400)],
    "phone": [f"+1 (555) 010-{i:04}" for i in range(400)],
    "hash": [f"{i:0300x}" for i in range(400)],
    "a few": ["New York", "Los Angeles", "San Diego"],
    "nothing": [],
    "blanks": ["", " "] * 50,
}
TEXTS = {"name", "address", "query", "review", "review, few of them", "review in Chinese"}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_told_apart(name):
    values = COLUMNS[name]
    assert is_text(values) == (name in TEXTS)


def test_a_text_is_described_by_its_parts():
    found = PLAIN.describe(["Call 0800-123 now, don't wait!"], None)
    assert {part: values[0] for part, values in found.items()} == {
        "length": 30,
        "words": 4,
        "word_length": pytest.approx(15 / 4),
        "digits": pytest.approx(7 / 30),
        "punctuation": pytest.approx(4 / 30),
        "script": "latin",
        "new_words": 1,
    }


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_what_is_no_text_is_missing_in_all_parts(value):
    for part, (missing, known) in FULL.describe([value, ENGLISH], None).items():
        if part in texts.LEVELS:
            assert (missing, known) == (None, {"script": "latin", "language": "en"}[part])
        else:
            assert np.isnan([missing, known]).tolist() == [True, False]


@pytest.mark.parametrize("empty", ["", "  \n", "\u3000", "\ud800"])
def test_an_empty_text_is_a_text_without_words(empty):
    found = {part: values[0] for part, values in FULL.describe([empty], None).items()}
    assert np.isnan(found.pop("word_length"))
    assert found.pop("length") == len(empty)
    levels = {"script": "none", "language": "short"}
    assert found == levels | dict.fromkeys(found.keys() - levels.keys(), 0)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Füße, naïve", "latin"),
        ("Ｆｕｌｌ", "latin"),
        ("Привет", "cyrillic"),
        ("Καλημέρα", "greek"),
        ("مرحبا", "arabic"),
        ("שלום", "hebrew"),
        ("नमस्ते", "devanagari"),
        ("你好", "han"),
        ("𠀀𠀁", "han"),
        ("こんにちは世界", "kana"),
        ("안녕하세요", "hangul"),
        ("สวัสดี", "thai"),
        ("გამარჯობა", "other"),
        ("𐌰𐌱", "other"),
        ("ok, дальше по-русски", "cyrillic"),
        ("1234 !?", "none"),
        ("😀☺", "none"),
    ],
)
def test_the_script_is_that_of_most_letters(text, script):
    assert PLAIN.describe([text], None)["script"] == [script]


@pytest.mark.parametrize(
    "text",
    [
        "Don't stop",
        "don’t  STOP",
        "«don’t» — stop…",
        "(don't/stop) 24",
        "don't😀stop",
        "don't\u00a0stop",
    ],
)
def test_case_marks_and_numbers_do_not_make_a_word_new(text):
    known = Text.learn(["Don't stop."], language=False)
    found = known.describe([text, f"{text} here", f"{text} ü", "ÉTÉ"], None)
    assert found["new_words"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1])
    assert found["words"].tolist() == [2, 3, 3, 1]


def test_words_of_any_script_are_learned_whatever_their_case():
    known = Text.learn(["ÉTÉ Straße ПРИВЕТ 你好，世界", None, 5], language=False)
    found = known.describe(["été STRASSE привет 世界。你好"], None)
    assert found["new_words"].tolist() == [0]


def test_a_saved_text_holds_no_words_and_describes_the_same():
    known = Text.learn([ENGLISH, GERMAN], language=False)
    saved = msgspec.json.encode(known)
    assert b"parcel" not in saved
    assert len(known.vocabulary) == 4 * len({*ENGLISH.lower().split(), *GERMAN.lower().split()})
    again = msgspec.json.decode(saved, type=Text)
    assert again == known
    assert again.describe([ENGLISH], None)["new_words"].tolist() == [0]
    with pytest.raises(msgspec.ValidationError, match="words"):
        msgspec.json.decode(saved[:-1] + b',"words":[]}', type=Text)


def test_only_the_most_frequent_words_are_kept(monkeypatch):
    monkeypatch.setattr(texts, "VOCABULARY", 2)
    known = Text.learn(["often often again again once"], language=False)
    found = known.describe(["often again", "once", "never", "once more, often"], None)
    assert found["new_words"].tolist() == pytest.approx([0, 1, 1, 2 / 3])


def test_a_text_is_looked_at_up_to_a_bound_and_counted_to_its_end():
    long = "word " * texts.LOOKED_AT
    found = PLAIN.describe([long], None)
    assert found["length"].tolist() == [len(long)]
    assert found["words"].tolist() == [texts.LOOKED_AT / 5]
    assert Text.learn([f"{long} last"], language=False) == Text.learn(["word"], language=False)


def test_its_parts_are_what_it_describes():
    for known in (PLAIN, FULL):
        assert tuple(known.describe([ENGLISH], None)) == known.parts
        assert tuple(known.describe([], None)) == known.parts
        assert known.learned <= set(known.parts)
    assert set(FULL.parts) - set(PLAIN.parts) == {"language", "sentiment"}


def test_the_language_is_told_and_the_sentiment_of_english():
    awful = "This is the worst and most terrible phone I have ever had."
    found = FULL.describe([ENGLISH, awful, GERMAN, "Great!", "Это очень хорошая книга"], None)
    assert found["language"] == ["en", "en", "de", "short", "ru"]
    good, bad, *others = found["sentiment"].tolist()
    assert good > 0.3
    assert bad < -0.3
    assert others == [0, 0, 0]


def test_without_the_extras_what_needs_them_is_missing(monkeypatch):
    assert has_extras()
    assert FULL.missing_extras() == []
    monkeypatch.setitem(sys.modules, "py3langid", None)
    monkeypatch.setattr(texts, "find_spec", lambda name: None if name == "py3langid" else name)
    assert not has_extras()
    assert FULL.missing_extras() == ["py3langid"]
    assert PLAIN.missing_extras() == []
    found = FULL.describe([ENGLISH], None)
    assert found["language"] == [None]
    assert np.isnan(found["sentiment"]).all()
    assert found["length"].tolist() == [len(ENGLISH)]


ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


@given(st.lists(ANY_TEXT | st.none() | st.integers() | st.lists(st.text(), max_size=2)))
def test_rows_do_not_depend_on_each_other(values):
    known = Text.learn([ENGLISH], language=False)
    together = known.describe(values, None)
    for i, value in enumerate(values):
        alone = known.describe([value], None)
        for part in known.parts:
            assert (
                together[part][i] == alone[part][0]
                or np.isnan([together[part][i], alone[part][0]]).all()
            )


@given(st.lists(ANY_TEXT))
@settings(max_examples=30)  # the first loads the models
def test_whatever_is_written_can_be_told_a_language_and_a_sentiment(values):
    found = FULL.describe(values, None)
    assert {len(part) for part in found.values()} == {len(values)}
    assert None not in found["language"]
    assert (np.abs(found["sentiment"]) <= 1).all()


@given(st.lists(ANY_TEXT, min_size=1))
def test_shares_are_shares(values):
    found = Text.learn(values[::2], language=False).describe(values, None)
    for part in ("digits", "punctuation", "new_words"):
        assert ((found[part] >= 0) & (found[part] <= 1)).all()
    assert (found["new_words"][::2] == 0).all()
    assert (found["length"] == [len(value) for value in values]).all()


def test_a_large_column_is_described_in_batches(monkeypatch):
    values = [ENGLISH, None, GERMAN, "", "5"] * 9
    whole = PLAIN.describe(values, None)
    monkeypatch.setattr(texts, "BATCH", 100)
    in_batches = PLAIN.describe(values, None)
    for part in PLAIN.parts:
        np.testing.assert_array_equal(in_batches[part], whole[part])
