"""What this package raises: at start, or to who asks a `Monitor`; never into a request.

DriftError
├── ConfigError      an option is unknown or impossible
├── BaselineError    a baseline cannot be read or has nothing to watch
└── StoreError       the buffer cannot be opened or written
"""


class DriftError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(DriftError):
    """An option is unknown or impossible; the message names it, its value and what is allowed."""


class BaselineError(DriftError):
    """A baseline cannot be read, or leaves nothing to watch; the message names file and column."""


class StoreError(DriftError):
    """The buffer cannot be opened or written; the message names the file and the cause."""
