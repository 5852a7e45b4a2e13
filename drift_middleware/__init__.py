"""Say, truthfully, whether a model server's traffic has drifted from its baseline.

app.add_middleware(DriftMiddleware, baseline="baseline.csv")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drift_middleware.capture.extractors import Request, Response, Row, extractor
    from drift_middleware.config import Config
    from drift_middleware.drift.baseline import Baseline
    from drift_middleware.errors import BaselineError, ConfigError, DriftError, StoreError
    from drift_middleware.middleware import DriftMiddleware
    from drift_middleware.monitor import Monitor

__version__ = "0.1.0"

__all__ = [
    "Baseline",
    "BaselineError",
    "Config",
    "ConfigError",
    "DriftError",
    "DriftMiddleware",
    "Monitor",
    "Request",
    "Response",
    "Row",
    "StoreError",
    "extractor",
]

# Loaded at first use: to import the package costs a server nothing that it does not need.
_HOMES = {
    "Baseline": "drift.baseline",
    "BaselineError": "errors",
    "Config": "config",
    "ConfigError": "errors",
    "DriftError": "errors",
    "DriftMiddleware": "middleware",
    "Monitor": "monitor",
    "Request": "capture.extractors",
    "Response": "capture.extractors",
    "Row": "capture.extractors",
    "StoreError": "errors",
    "extractor": "capture.extractors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
