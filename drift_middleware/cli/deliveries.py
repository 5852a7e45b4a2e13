"""Deliveries: the model of the demo, what it was built on, and what it is asked.  All made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MINUTES = {"Aarhus": 6.0, "Bergen": 11.0, "Gdansk": 8.0}
"to park, by town"
NEW_TOWN = "Odense"
BASELINE_ROWS = 2000


class Deliveries:
    """Draws deliveries, the same in every run."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def draw(self, *, has_drifted: bool = False) -> dict[str, Any]:
        """Draw one; when they have drifted, heavier, and half of them in another town."""
        rng = self._rng
        town = str(rng.choice([*MINUTES], p=[0.5, 0.3, 0.2]))
        return {
            "km": round(float(rng.lognormal(1.2, 0.5)), 2),
            "kg": round(float(rng.lognormal(1.3 if has_drifted else 0.8, 0.6)), 2),
            "town": NEW_TOWN if has_drifted and rng.random() < 0.5 else town,
            "is_express": bool(rng.random() < 0.25),
        }


def predict(delivery: dict[str, Any]) -> float:
    """Say how many minutes a delivery takes."""
    parking = MINUTES.get(delivery["town"], max(MINUTES.values()))
    minutes = 2.4 * float(delivery["km"]) + 1.1 * float(delivery["kg"]) + parking
    return round(minutes * (0.7 if delivery["is_express"] else 1.0), 1)


def baseline() -> dict[str, list[Any]]:
    """Give what the model was built on, with its own answers."""
    drawn = Deliveries(seed=0)
    rows = [drawn.draw() for _ in range(BASELINE_ROWS)]
    table = {name: [row[name] for row in rows] for name in rows[0]}
    return {**table, "predicted_minutes": [predict(row) for row in rows]}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the model: POST a delivery, get its minutes."""
    if scope["type"] == "lifespan":
        for answer in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{answer}.complete"})
    elif scope["method"] == "POST" and scope["path"] == "/predict":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":  # the demo ends
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await _answer(send, 200, {"predicted_minutes": predict(json.loads(body))})
    else:
        await _answer(send, 404, {"error": "POST /predict, or GET /_drift"})


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
