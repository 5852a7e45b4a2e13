"""Litestar.  Wrap the app: its own `middleware=` sees only requests to its own routes.

$ uvicorn litestar_app:app
$ curl -i localhost:8000/predict --json '{
    "sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
HTTP/1.1 201 Created
...
x-drift-severity: unknown
...
{"prediction":"setosa"}
"""

from dataclasses import asdict, dataclass

from iris import baseline, classify
from litestar import Litestar, post

from drift_middleware import DriftMiddleware


@dataclass
class Flower:
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


@post("/predict", sync_to_thread=True)
def predict(data: Flower) -> dict[str, str]:
    return {"prediction": classify([asdict(data)])[0]}


app = DriftMiddleware(Litestar([predict]), baseline=baseline)
