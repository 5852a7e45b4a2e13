"""KServe, with V1 (as here) and V2, the Open Inference Protocol, on `/v2/models/iris/infer`.

$ python kserve_model.py --http_port 8000
$ curl -i localhost:8000/v1/models/iris:predict --json '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"predictions":["setosa"]}
"""

from typing import Any

from iris import baseline, classify
from kserve import Model, ModelServer
from kserve.model_server import app
from kserve.utils.utils import get_predict_input, get_predict_response

from drift_middleware import DriftMiddleware

app.add_middleware(DriftMiddleware, baseline=baseline)  # here, where further `--workers` see it


class Iris(Model):
    def load(self) -> bool:
        self.ready = True
        return self.ready

    def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        answers = classify(get_predict_input(payload))
        return get_predict_response(payload, answers, self.name)


if __name__ == "__main__":
    model = Iris("iris")
    model.load()
    ModelServer().start([model])
