"""Flask, or any other WSGI app, served as ASGI by a2wsgi.

$ uvicorn flask_app:app
$ curl -i localhost:8000/predict --json '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"predictions":["setosa"]}
"""

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from iris import baseline, classify

from drift_middleware import DriftMiddleware

flask = Flask(__name__)


@flask.post("/predict")
def predict() -> dict[str, list[str]]:
    return {"predictions": classify(request.get_json()["instances"])}


app = DriftMiddleware(WSGIMiddleware(flask), baseline=baseline)
