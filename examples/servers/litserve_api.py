"""LitServe.

$ python litserve_api.py
$ curl -i localhost:8000/predict --json '{"input": [[5.1, 3.5, 1.4, 0.2]]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"output":["setosa"]}
"""

from typing import Any

from iris import baseline, classify
from litserve import LitAPI, LitServer

from drift_middleware import DriftMiddleware


class Iris(LitAPI):
    def setup(self, device: str) -> None: ...

    def predict(self, request: dict[str, Any]) -> dict[str, list[str]]:
        return {"output": classify(request["input"])}


if __name__ == "__main__":
    server = LitServer(Iris(), middlewares=[(DriftMiddleware, {"baseline": baseline})])
    server.run(port=8000, generate_client_file=False)
