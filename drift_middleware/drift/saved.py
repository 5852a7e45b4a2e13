"""Saved baselines: JSON files that say what they are, read whole and written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from drift_middleware.drift.sources import check_path
from drift_middleware.errors import BaselineError

Document = TypeVar("Document", bound=Struct)

TYPE = "drift-middleware baseline"
FORMAT = 1


class _Head(Struct):
    """What every format of a saved baseline begins with."""

    type: str = ""
    format: int = 0


def read(path: Path, document: type[Document]) -> Document:
    """Read what `write` wrote.

    Raises
    ------
    BaselineError
        There is none, it is cut short, or a newer version of this package wrote it.
    """
    check_path(path)
    try:
        text = path.read_bytes()
        head = msgspec.json.decode(text, type=_Head)
        if head.type != TYPE:
            msg = f"{path}: is not a saved baseline; Baseline.fit(...).save(path) writes one."
            raise BaselineError(msg)
        if head.format > FORMAT:
            msg = (
                f"{path}: has format {head.format} and this version reads up to {FORMAT}; "
                "update drift-middleware or fit the baseline again."
            )
            raise BaselineError(msg)
        return msgspec.json.decode(text, type=document)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})."
        raise BaselineError(msg) from error
    except msgspec.DecodeError as error:
        msg = f"{path}: is not a whole saved baseline; save it again ({error})."
        raise BaselineError(msg) from error


def write(path: Path, encoded: bytes) -> None:
    """Write JSON; whoever reads meanwhile sees the old file or the new one, whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(msgspec.json.format(encoded, indent=1))
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        msg = f"{path}: cannot be written ({error.strerror})."
        raise BaselineError(msg) from error
