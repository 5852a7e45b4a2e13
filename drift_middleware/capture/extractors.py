"""Extractors: functions of the user's that give the rows of payloads that no format knows.

    @drift_middleware.extractor("my_format")
    def extract(request, response):
        body = request.json()
        if "cases" not in body:
            return None  # not mine
        return [Row(features=case) for case in body["cases"]]

They run on the monitor's thread, each exchange that the app answered with 2xx.  What they raise is
counted, and goes no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct

from drift_middleware.capture.codecs import decode
from drift_middleware.capture.mapping import answer, labelled
from drift_middleware.capture.reasons import Reason, SkipError
from drift_middleware.errors import ConfigError
from drift_middleware.logger import LOGGER
from drift_middleware.schemas import Exchange, Headers, Rows

GROUP = "drift_middleware.extractors"
"of entry points"
RAISED = "the extractor raised"


class Row(Struct, frozen=True):
    """One thing that the model was asked about, and what it answered."""

    features: Mapping[str, Any] | Sequence[Any]
    "by name; or values in the order of the baseline's columns"
    prediction: Any = None
    proba: Mapping[str, float] | Sequence[float] | None = None
    "probability of each class"
    row_id: Any = None
    "not kept"
    model: str | None = None
    "the column `model`, which `segment_by` may name; if not given, `{model}` of the path"
    version: str | None = None


class _View:
    """What is common to both sides of an exchange; nothing of it can be changed."""

    __slots__ = ("_exchange", "_headers", "body")

    body: bytes
    "as it was sent"

    def __init__(self, exchange: Exchange, body: bytes, headers: Headers) -> None:
        object.__setattr__(self, "_exchange", exchange)
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "_headers", headers)

    def __setattr__(self, name: str, value: Any) -> None:
        msg = f"{type(self).__name__}.{name} can only be read"
        raise AttributeError(msg)

    _exchange: Exchange
    _headers: Headers

    def json(self) -> Any:
        """Decode the body, a compressed one too."""
        return decode(self.body, self._headers)

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""
        pairs = ((name.decode("latin-1"), value) for name, value in self._headers)
        return MappingProxyType({name.lower(): value.decode("latin-1") for name, value in pairs})

    @property
    def content_type(self) -> str:
        """The media type, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def truncated(self) -> bool:
        """Whether the body was over the limit, and is not here."""
        return self._exchange.truncated and not self.body


class Request(_View):
    """What the client sent, to be read by an extractor."""

    __slots__ = ("path_params",)

    path_params: Mapping[str, str]
    "what the path has in the places that the template of the options' `[[endpoint]]` names"

    def __init__(self, exchange: Exchange, path_params: Mapping[str, str]) -> None:
        super().__init__(exchange, exchange.request_body, exchange.request_headers)
        object.__setattr__(self, "path_params", MappingProxyType(dict(path_params)))

    @property
    def method(self) -> str:
        """`POST` or `PUT`."""
        return self._exchange.method

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self._exchange.path

    @property
    def query(self) -> str:
        """What comes after the question mark."""
        return self._exchange.query.decode("latin-1")


class Response(_View):
    """What the app answered, to be read by an extractor."""

    __slots__ = ()

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange, exchange.response_body, exchange.response_headers)

    @property
    def status(self) -> int:
        """From 200 to 299."""
        return self._exchange.status


Extract = Callable[[Request, Response], Iterable[Row] | None]
AnyExtract = TypeVar("AnyExtract", bound=Extract)

EXTRACTORS: dict[str, Extract] = {}
"by name, in the order in which they are asked"


def extractor(name: str) -> Callable[[AnyExtract], AnyExtract]:
    """Register a function that gives the rows of an exchange, or None if it is not one of its own.

    It is asked before detection, or alone where an `[[endpoint]]` names it as its `format`.
    """
    if name in ("", "auto") or callable(name):  # `@extractor` without its parentheses
        msg = f"An extractor needs a name of its own, not {name!r}: @extractor('my_format')."
        raise ConfigError(msg)

    def register(function: AnyExtract) -> AnyExtract:
        EXTRACTORS[name] = function
        return function

    return register


def load_entry_points() -> None:
    """Register the extractors of installed packages.

    Raises
    ------
    ConfigError
        One of them cannot be imported.
    """
    for found in entry_points(group=GROUP):
        try:
            loaded = found.load()
        except Exception as error:
            msg = f"The extractor {found.name!r} ({found.value}) cannot be loaded: {error}."
            raise ConfigError(msg) from error
        EXTRACTORS.setdefault(found.name, loaded)


def function_at(where: str) -> Extract:
    """Import `package.module:function`; raise ValueError if it is none."""
    module, _, name = where.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever a module of the user's raises when it is imported
        msg = f"cannot be imported as package.module:function: {error}"
        raise ValueError(msg) from error
    if not callable(found):
        msg = "is no function"
        raise ValueError(msg)  # noqa: TRY004 - of the options it is the value that is wrong
    return found  # type: ignore[no-any-return]  # a callable is all that can be known of it


def extracted(
    extract: Extract, name: str, exchange: Exchange, path_params: Mapping[str, str]
) -> Rows | None:
    """Ask one extractor; None: the exchange is not its own.

    Raises
    ------
    SkipError
        It read a body that cannot be decoded.
    """
    try:
        found = extract(Request(exchange, path_params), Response(exchange))
        return None if found is None else _rows(list(found), name, path_params)
    except SkipError as skip:
        raise SkipError(Reason.TRUNCATED if exchange.truncated else skip.reason) from None
    except Exception:  # noqa: BLE001 - the user's code, on bodies of anybody's
        # Only for who asks: what it raised may quote the body.
        LOGGER.debug("extractor %r", name, exc_info=True)
        reason = Reason.TRUNCATED.value if exchange.truncated else RAISED
        return Rows(skipped=reason)


def _rows(found: list[Row], name: str, path_params: Mapping[str, str]) -> Rows:
    if not found:
        return Rows(format=name, skipped=Reason.NOT_A_PREDICTION.value)
    predictions = [answer(row.prediction, None, _proba(row.proba)) for row in found]
    has_any = any(one is not None for one in predictions)
    features = [
        labelled(_features(row), {**path_params, **_given(model=row.model, version=row.version)})
        for row in found
    ]
    return Rows(features, predictions if has_any else None, name)


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _features(row: Row) -> dict[str, Any] | list[Any]:
    if isinstance(row.features, Mapping):
        return {str(name): value for name, value in row.features.items()}
    if isinstance(row.features, str):
        raise TypeError
    return list(row.features)


def _proba(proba: Any) -> Any:
    if isinstance(proba, Mapping):
        return {str(name): float(value) for name, value in proba.items()}
    return None if proba is None else [float(value) for value in proba]
