"""BentoML.

$ bentoml serve bentoml_service:Iris --port 8000
$ curl -i localhost:8000/predict --json '{"flowers": [[5.1, 3.5, 1.4, 0.2]]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
["setosa"]
"""

import bentoml
from iris import baseline, classify

from drift_middleware import DriftMiddleware


@bentoml.service
class Iris:
    @bentoml.api
    def predict(self, flowers: list[list[float]]) -> list[str]:
        return classify(flowers)


Iris.add_asgi_middleware(DriftMiddleware, baseline=baseline)
