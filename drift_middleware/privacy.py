"""Privacy: what is stored of the columns that `redact` and `hash` name.

They are counted as they came; only what is kept of them differs.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from drift_middleware.buffer import Transaction
from drift_middleware.capture.mapping import is_part
from drift_middleware.config import Config
from drift_middleware.drift.levels import level

KEY = "hash key"
"of the shared state"
DIGITS = 16


def is_private(config: Config, column: str) -> bool:
    """Say whether a column, or what holds it, is redacted or hashed."""
    return is_part(column, config.redact) or is_part(column, config.hash)


def append_rows(
    tx: Transaction,
    config: Config,
    at: Sequence[float],
    columns: Mapping[str, Sequence[Any]],
    types: Mapping[str, str],
) -> None:
    """Keep rows: of redacted columns nothing, of hashed ones the hashes."""
    kept = {name: values for name, values in columns.items() if not is_part(name, config.redact)}
    hashed = [name for name in kept if is_part(name, config.hash)]
    if hashed:
        key = _key(tx)
        kept |= {name: [_hash(key, value) for value in kept[name]] for name in hashed}
        types = {**types, **dict.fromkeys(hashed, "TEXT")}
    tx.append_rows(at, kept, types)


def _key(tx: Transaction) -> bytes:
    key = tx.get(KEY)
    if key is None:
        key = secrets.token_bytes(32)
        tx.put(KEY, key)
    return key


def _hash(key: bytes, value: Any) -> str | None:
    """Hash a value, however it is written: `5`, `5.0` and the text `"5"` are the same."""
    data = value if isinstance(value, bytes) else (level(value, None) or "").encode()
    return hmac.digest(key, data, "sha256").hex()[:DIGITS] if data else None
