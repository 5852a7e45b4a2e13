"""Locations: where something is in a document, in the words of the options.

`/instances/0/data` is a JSON Pointer (RFC 6901); `instances[].data` says `[]` for each of these, as
a pointer may too (`/instances[]/data`).  All other expressions are JMESPath, which is optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

EACH = "[]"
_NAME = r"[A-Za-z_]\w*"
_BRACKET = r"\[(?:\*|-?\d+)?\]"
_is_path = re.compile(rf"(?:{_NAME}|{_BRACKET})(?:\.{_NAME}|{_BRACKET})*", re.ASCII).fullmatch
_steps_of = re.compile(rf"{_NAME}|{_BRACKET}", re.ASCII).findall
_is_index = re.compile(r"0|[1-9][0-9]*").fullmatch


class MisfitError(Exception):
    """Raised where a payload is not as the options say."""


class Location(NamedTuple):
    """A place in a document, or many of them.

    >>> location("predictions[].score").find({"predictions": [{"score": 0.4}, {}]})
    ([0.4, None], True)
    """

    steps: tuple[str | int | None, ...]
    "names and positions; None: each of these"
    search: Callable[[Any], Any] | None = None
    "of JMESPath"

    def find(self, document: Any) -> tuple[Any, bool]:
        """Give what is there, and whether it is a list of one value for each; or MisfitError.

        Where one of many lacks a value it is None, so that the others keep their places.
        """
        if self.search is not None:
            return _searched(self.search, document)
        found, is_each = [document], False
        for step in self.steps:
            if step is None:
                found = [inner for outer in found for inner in _items(outer)]
                is_each = True
            else:
                found = [_taken(one, step, is_needed=not is_each) for one in found]
        return (found, True) if is_each else (found[0], False)

    @property
    def holders(self) -> Location:
        """The location of what holds the values: `predictions[]` of `predictions[].score`."""
        last = max((i for i, step in enumerate(self.steps) if step is None), default=-1)
        return Location(self.steps[: last + 1], self.search)


def location(text: str) -> Location:
    """Read a location.

    Raises
    ------
    ValueError
        It is none, or JMESPath that is not installed.
    """
    if text.startswith("/"):
        return Location(tuple(step for token in text[1:].split("/") for step in _token(token)))
    if _is_path(text):
        return Location(tuple(map(_bracket, _steps_of(text))))
    if find_spec("jmespath") is None:
        msg = "is no pointer as /a/b and no path as a[].b; if it is JMESPath: "
        msg += "pip install 'drift-middleware[jmespath]'"
        raise ValueError(msg)
    try:
        return Location((), import_module("jmespath").compile(text).search)
    except ValueError as error:  # every error of its parser is one
        msg = f"is no JMESPath: {' '.join(str(error).split())}"
        raise ValueError(msg) from None


def names_of(pointer: str) -> list[str]:
    """Split a JSON Pointer into its names.

    >>> names_of("/a~1b/c")
    ['a/b', 'c']
    """
    return [_unescaped(token) for token in pointer[1:].split("/")]


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _token(token: str) -> list[str | None]:
    name = token.removesuffix(EACH)
    if name == token:
        return [_unescaped(token)]
    return [_unescaped(name), None] if name else [None]


def _bracket(step: str) -> str | int | None:
    if not step.startswith("["):
        return step
    return None if step in (EACH, "[*]") else int(step[1:-1])


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise MisfitError


def _taken(value: Any, step: str | int, *, is_needed: bool) -> Any:
    try:
        if isinstance(value, list) and (isinstance(step, int) or _is_index(step)):
            return value[int(step)]
        if isinstance(value, dict):
            return value[step]
    except LookupError:
        pass
    if is_needed:
        raise MisfitError
    return None


def _searched(search: Callable[[Any], Any], document: Any) -> tuple[Any, bool]:
    try:
        found = search(document)
    except Exception:  # noqa: BLE001 - whatever an expression meets in a body of anybody's
        raise MisfitError from None
    if found is None:
        raise MisfitError
    return found, type(found) is list
