"""Texts: how long they are, what they are written with, and which words the baseline never used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from string import punctuation
from typing import Any, Self
from unicodedata import category
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from drift_middleware.drift.descriptors import Part
from drift_middleware.drift.levels import LONGEST

Floats = NDArray[np.float64]

# Values from which the share of distinct ones says something.
TELLING = 50
# Only the length counts what comes after it, so that no text costs more than a millisecond.
LOOKED_AT = 20_000
# Characters described at once: bounds memory, whatever the baseline.
BATCH = 1 << 20
# The most frequent words of the baseline are kept: 200 kB.
VOCABULARY = 50_000

EXTRAS = ("py3langid", "vaderSentiment")
# Bytes of letters.  Of English sentences py3langid takes for another language 14 % of those with 15
# to 20, 7 % with 20 to 25, 2 % with 30 to 40, .2 % with 60 to 100, none of 3,607 above.
SHORT = 20
LEVELS = {"script", "language"}
# Characters that the extras read, at about a microsecond each.
LANGUAGE_FROM, SENTIMENT_FROM = 300, 1000

# What a character is: anything else, a digit, a mark or symbol, or a letter of one of the scripts.
DIGIT, MARK = 1, 2
SCRIPTS = {
    "latin": "0041-024F 1E00-1EFF 2C60-2C7F A720-A7FF AB30-AB6F FB00-FB06 FF21-FF5A",
    "cyrillic": "0400-052F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "greek": "0370-03FF 1F00-1FFF",
    "arabic": "0600-06FF 0750-077F 0870-08FF FB50-FDFF FE70-FEFF",
    "hebrew": "0590-05FF FB1D-FB4F",
    "devanagari": "0900-097F A8E0-A8FF",
    "han": "2E80-2FDF 3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFF",
    "kana": "3031-3035 3041-30FF 31F0-31FF FF66-FF9F",
    "hangul": "1100-11FF 3130-318F A960-A97F AC00-D7FF FFA0-FFDC",
    "thai": "0E00-0E7F",
    "other": "",
}
FIRST = 3
"the kind of a latin letter; those of the other scripts follow"
KINDS = FIRST + len(SCRIPTS)
KIND_OF = {"L": FIRST, "N": DIGIT, "P": MARK, "S": MARK}
"by the first letter of Unicode's category"

# Bytes of UTF-8 as words have them: ASCII letters small, other ASCII a space, the rest as it is.
IN_WORDS = bytes(
    byte if byte >= 128 else ord(chr(byte).lower()) if chr(byte).isalpha() else 32
    for byte in range(256)
)
# What parts words, or surrounds them, beyond ASCII.
PARTING = re.compile(
    "[\x80-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u2000-\u2bff\u3000-\u3004\u3008-\u3030"
    "\ufe30-\ufe6f\uff00-\uff20\uff3b-\uff40\uff5b-\uff65\ufffd\U0001f000-\U0001faff]+"
)
# Thai, kana, han: written without spaces, so that two letters may be two words.
UNSPACED = re.compile("[\u0e01-\u0e5b\u3041-\u30ff\u3400-\u9fff]{2}")


def is_text(values: Sequence[str]) -> bool:
    """Tell free text from categories and identifiers.

    At least half of the values have several words, and half are distinct: of those a category would
    know little, since what it saw once counts as never seen.  Or they have several words and are on
    average longer than a level is kept.  Names, addresses, search queries and reviews are text;
    cities and job titles repeat; UUIDs, e-mail addresses, URLs and licence plates have no words.
    """
    values = [value for value in values if value.strip()]
    is_long = sum(map(len, values)) > LONGEST * len(values)
    are_distinct = len(values) >= TELLING and 2 * len(set(values)) >= len(values)
    return (is_long or are_distinct) and 2 * sum(map(_has_words, values)) >= len(values)


def _has_words(value: str) -> bool:
    if UNSPACED.search(value):
        return True
    return sum(word.strip(punctuation).isalpha() for word in value.split()[:20]) >= 2


def has_extras() -> bool:
    """Tell whether what language and sentiment need is installed."""
    return not _missing_extras()


def _missing_extras() -> list[str]:
    return [name for name in EXTRAS if find_spec(name) is None]


class Text(Struct, frozen=True, forbid_unknown_fields=True, tag="text", dict=True):
    """What is watched of a column of texts.

    An empty text is a text: of length 0, with no words that could have a length.  What is no text
    is missing in all parts.
    """

    vocabulary: bytes
    "CRC-32 of each word of the baseline, ascending, 4 bytes each, little-endian; no words"
    language: bool
    "tell language and sentiment, which needs the extra `text`"

    learned = frozenset({"new_words"})
    is_nested = False

    @classmethod
    def learn(cls, values: Sequence[Any], *, language: bool) -> Self:
        """Learn the vocabulary of some rows; `new_words` is to be cut on others."""
        counts: Counter[bytes] = Counter()
        for value in values:
            if isinstance(value, str):
                counts.update(_words(value[:LOOKED_AT]))
        hashes = {crc32(word) for word, _ in counts.most_common(VOCABULARY)}
        return cls(vocabulary=np.array(sorted(hashes), "<u4").tobytes(), language=language)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `describe` gives, in order."""
        of_all = ("length", "words", "word_length", "digits", "punctuation", "script", "new_words")
        return (*of_all, "language", "sentiment") if self.language else of_all

    def missing_extras(self) -> list[str]:
        """Name the packages that `language` and `sentiment` need, and that are not installed."""
        return _missing_extras() if self.language else []

    def describe(self, values: Sequence[Any], at: Sequence[float] | None) -> dict[str, Part]:  # noqa: ARG002 - `at` is of the protocol
        """Describe values: numbers, the script of most letters, the language.

        `script` is `none` where there are no letters, `language` is `short` where there are too few
        to tell.  `sentiment` is from -1 to 1, and 0, as of a text that says nothing, if it is not
        English: that is for `language` to tell, and to be missing would be graded more severely.
        Without the packages of `missing_extras` both are missing.
        """
        rows = [i for i, value in enumerate(values) if isinstance(value, str)]
        pieces = [self._describe(batch) for batch in _batches([values[i] for i in rows])]
        described: dict[str, Part] = {}
        for part in self.parts:
            if part in LEVELS:
                levels: list[str | None] = [None] * len(values)
                for row, level in zip(rows, chain(*(piece[part] for piece in pieces)), strict=True):
                    levels[row] = level
                described[part] = levels
            else:
                numbers = np.full(len(values), np.nan)
                if rows:
                    numbers[rows] = np.concatenate([piece[part] for piece in pieces])
                described[part] = numbers
        return described

    @cached_property
    def _is_new(self) -> _IsNew:
        return _IsNew(np.frombuffer(self.vocabulary, "<u4").tolist())

    def _describe(self, texts: list[str]) -> dict[str, Sequence[Any] | Floats]:
        looked_at = [text[:LOOKED_AT] for text in texts]
        words = [_words(text) for text in looked_at]
        kinds = _kinds(looked_at)
        letters = kinds[:, FIRST:]
        characters = np.maximum([len(text) for text in looked_at], 1)
        of_words = np.array([len(each) for each in words])
        is_new = self._is_new.__getitem__
        new_words = np.array([sum(map(is_new, each)) for each in words])
        with np.errstate(invalid="ignore"):  # no words have no length
            word_length = letters.sum(axis=1) / np.where(of_words, of_words, np.nan)
        parts = {
            "length": [len(text) for text in texts],
            "words": of_words,
            "word_length": word_length,
            "digits": kinds[:, DIGIT] / characters,
            "punctuation": kinds[:, MARK] / characters,
            "script": _script(letters),
            "new_words": new_words / np.maximum(of_words, 1),
        }
        return parts | self._tell(texts, words) if self.language else parts

    def _tell(self, texts: list[str], words: list[list[bytes]]) -> dict[str, Sequence[Any]]:
        if self.missing_extras():
            return {"language": [None] * len(texts), "sentiment": [np.nan] * len(texts)}
        language_of, sentiment_of = _language_of(), _sentiment_of()
        languages = [
            language_of(text[:LANGUAGE_FROM]) if sum(map(len, each)) >= SHORT else "short"
            for text, each in zip(texts, words, strict=True)
        ]
        sentiments = [
            sentiment_of(text[:SENTIMENT_FROM]) if language == "en" else 0.0
            for text, language in zip(texts, languages, strict=True)
        ]
        return {"language": languages, "sentiment": sentiments}


class _IsNew(dict[bytes, bool]):
    """Says of a word whether the baseline lacks it; texts repeat most of their words."""

    def __init__(self, vocabulary: Iterable[int]) -> None:
        self._known = frozenset(vocabulary)

    def __missing__(self, word: bytes) -> bool:
        is_new = crc32(word) not in self._known
        if len(self) >= VOCABULARY:
            self.clear()
        if len(word) < LONGEST:
            self[word] = is_new
        return is_new


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += min(len(text), LOOKED_AT) + 1
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _words(text: str) -> list[bytes]:
    """Split at whatever is no letter; an apostrophe is left out, so that `don't` is one word."""
    if not text.isascii():
        text = PARTING.sub(" ", text.casefold().replace("\u2019", "'"))
    return text.encode("utf-8", "replace").translate(IN_WORDS, b"'").split()


def _kinds(texts: list[str]) -> NDArray[np.intp]:
    """Count (texts, kinds) the characters of each kind."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4")
    of_text = np.repeat(np.arange(len(texts)) * KINDS, [len(text) for text in texts])
    counts = np.bincount(of_text + _kind_of()[codes], minlength=len(texts) * KINDS)
    return counts.reshape(-1, KINDS)


def _script(letters: NDArray[np.intp]) -> list[str]:
    names = np.array([*SCRIPTS, "none"])
    found: list[str] = names[np.where(letters.any(axis=1), letters.argmax(axis=1), -1)].tolist()
    return found


@cache
def _kind_of() -> NDArray[np.uint8]:
    """Kinds of all code points; beyond the first two planes there are only letters of han."""
    letter = np.full(0x110000, KINDS - 1, np.uint8)
    for script, blocks in enumerate(SCRIPTS.values(), FIRST):
        for block in blocks.split():
            first, last = block.split("-")
            letter[int(first, 16) : int(last, 16) + 1] = script
    planes = "".join(category(chr(code))[0] for code in range(0x20000))
    kind = np.array([KIND_OF.get(initial, 0) for initial in planes], np.uint8)
    kind = np.pad(kind, (0, len(letter) - len(kind)), constant_values=FIRST)
    return np.where(kind == FIRST, letter, kind)


@cache
def _language_of() -> Callable[[str], str]:
    classify = import_module("py3langid").classify
    # A lone surrogate can be in JSON, but in no UTF-8.
    return lambda text: str(classify(text.encode("utf-8", "replace").decode())[0])


@cache
def _sentiment_of() -> Callable[[str], float]:
    scores = import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
    return lambda text: float(scores.polarity_scores(text)["compound"])
