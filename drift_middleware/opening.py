"""Opening: the configured baseline, loaded, and whether the options fit it, said at start."""

from __future__ import annotations

from collections.abc import Collection

from drift_middleware.capture.endpoints import described
from drift_middleware.capture.extractors import load_entry_points
from drift_middleware.config import Config
from drift_middleware.drift.baseline import Baseline
from drift_middleware.drift.descriptors.texts import Text
from drift_middleware.drift.thresholds import check_names, check_options
from drift_middleware.errors import ConfigError


def open_baseline(config: Config) -> Baseline | None:
    """Load or fit the configured baseline; None: it is learned from traffic.

    Raises
    ------
    ConfigError, BaselineError
        It cannot be read, lacks what the options name, or needs what is not installed; or what
        they say of endpoints is impossible.
    """
    _check_endpoints(config)
    baseline = None
    if config.baseline is not None:
        baseline = Baseline.open(
            config.baseline,
            predictions=config.predictions,
            ignore=config.ignore,
            kinds=config.kinds,
            timestamp=config.timestamp,
            segment_by=config.segment_by,
            ordered=config.ordered,
        )
        _check_extras(baseline)
    _check_columns(config, baseline)
    return baseline


def _check_extras(baseline: Baseline) -> None:
    """Raise ConfigError unless all is installed that the baseline's texts are described with."""
    for column, known in baseline.descriptors.items():
        missing = known.missing_extras() if isinstance(known, Text) else []
        if missing:
            msg = (
                f"baseline: the language and sentiment of {column!r} are watched, and "
                f"{' and '.join(missing)} not installed: pip install 'drift-middleware[text]'."
            )
            raise ConfigError(msg)


def _check_endpoints(config: Config) -> None:
    """Load the extractors of installed packages; raise ConfigError if `endpoint` cannot be."""
    load_entry_points()
    described(config.endpoint)


def _check_columns(config: Config, baseline: Baseline | None) -> None:
    """Raise ConfigError if what the options say of columns cannot be, now that they are known."""
    outputs = None
    roles = [] if baseline is None else baseline.roles.values()
    if "prediction" not in roles and config.store == "rows":
        outputs = () if config.predictions == "auto" else config.predictions
    check_judging(config, baseline, outputs)
    if baseline is not None:
        try:
            _check_private(config, baseline, outputs)
        except ValueError as error:
            raise ConfigError(str(error)) from None


def check_judging(
    config: Config, baseline: Baseline | None, outputs: Collection[str] | None
) -> None:
    """Raise ConfigError if a policy, thresholds or weights do not fit; as `check_options`."""
    try:
        check_options(
            baseline,
            policy=config.policy,
            thresholds=config.thresholds,
            weights=config.weights,
            outputs=outputs,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check_private(config: Config, baseline: Baseline, outputs: Collection[str] | None) -> None:
    """Raise ValueError if `redact` or `hash` name what is not there: a slip would store it."""
    parts = (name.split(".") for name in (*baseline.columns, *(outputs or ())))
    known = {".".join(names[:size]) for names in parts for size in range(1, len(names) + 1)}
    for option, names in (("redact", config.redact), ("hash", config.hash)):
        check_names(option, names, known, is_complete=outputs is None)
