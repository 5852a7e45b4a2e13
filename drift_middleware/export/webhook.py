"""The webhook: an alert as JSON, signed, so that the receiver knows whence and how old it is."""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

import msgspec

from drift_middleware.schemas import Alert

TIMEOUT_SECONDS = 10.0
"for each step of a request"


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Sign a body and when it was sent, so that neither can be replayed with another."""
    text = b"%d.%s" % (timestamp, body)
    return f"sha256={hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"


def post(url: str, secret: str | None, alert: Alert, now: float) -> str | None:
    """Send an alert; return why it did not arrive, in words that have no part of the URL."""
    body, timestamp = msgspec.json.encode(alert), int(now)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "drift-middleware",
        "X-Drift-Alert": alert.id,
        "X-Drift-Timestamp": str(timestamp),
    }
    if secret is not None:
        headers["X-Drift-Signature"] = sign(secret, timestamp, body)
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  # Config takes http(s) alone
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return _named(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return _named(error)


def _named(reason: object) -> str:
    """Name an error without its text, which may quote the URL."""
    why = reason.strerror if isinstance(reason, OSError) else None
    return f"{type(reason).__name__}: {why}" if why else type(reason).__name__


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, or elsewhere than its owner said."""

    def redirect_request(self, *_: Any) -> None:
        return None
