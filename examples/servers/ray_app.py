"""Ray Serve.

$ serve run ray_app:app
$ curl -i localhost:8000/predict --json '[[5.1, 3.5, 1.4, 0.2]]'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
["setosa"]
"""

from fastapi import FastAPI
from iris import baseline, classify
from ray import serve

from drift_middleware import DriftMiddleware

api = FastAPI()
api.add_middleware(DriftMiddleware, baseline=baseline)


@serve.deployment
@serve.ingress(api)
class Iris:
    @api.post("/predict")
    def predict(self, flowers: list[list[float]]) -> list[str]:
        return classify(flowers)


app = Iris.bind()
