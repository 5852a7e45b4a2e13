"""Why an exchange gives no rows: the closed set that `/_drift` counts, and how to say one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """All that `Rows.skipped` can say."""

    STATUS_1XX = "status 1xx"
    STATUS_3XX = "status 3xx"
    STATUS_4XX = "status 4xx"
    STATUS_5XX = "status 5xx"
    TRUNCATED = "body over the limit"
    TOO_MANY = "too many rows or values"
    EMPTY = "empty body"
    ENCODING = "content encoding not supported"
    CONTENT_TYPE = "content type not supported"
    NOT_JSON = "body is not JSON"
    TOO_DEEP = "nested too deep"
    NOT_A_PREDICTION = "not a prediction"
    AMBIGUOUS = "ambiguous shape"
    FORMAT = "format not supported"
    ERROR = "the answer is an error"
    UNREADABLE = "unreadable"


class SkipError(Exception):
    """Raised by a codec or a format; `read` turns it into `Rows.skipped`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
