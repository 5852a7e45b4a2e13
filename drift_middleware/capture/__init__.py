"""Bytes to rows: `read` makes Rows of one exchange, `tabulate` lays the rows of many side by side.

`codecs` turns bytes into objects, `formats` finds the rows in them (and shows how to add a format),
`outputs` the predictions.
Nothing here raises, whatever the bytes; what cannot be read says why (`reasons`).
"""

from drift_middleware.capture.read import read
from drift_middleware.capture.table import tabulate

__all__ = ["read", "tabulate"]
