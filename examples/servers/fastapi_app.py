"""FastAPI.

$ uvicorn fastapi_app:app
$ curl -i localhost:8000/predict --json '{
    "sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"prediction":"setosa"}
"""

from fastapi import FastAPI
from iris import baseline, classify
from pydantic import BaseModel

from drift_middleware import DriftMiddleware

app = FastAPI()
app.add_middleware(DriftMiddleware, baseline=baseline)


class Flower(BaseModel):
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


@app.post("/predict")
def predict(flower: Flower) -> dict[str, str]:
    return {"prediction": classify([flower.model_dump()])[0]}
