"""Starlette.

$ uvicorn starlette_app:app
$ curl -i localhost:8000/predict --json '[[5.1, 3.5, 1.4, 0.2]]'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
["setosa"]
"""

from iris import baseline, classify
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from drift_middleware import DriftMiddleware


async def predict(request: Request) -> JSONResponse:
    return JSONResponse(classify(await request.json()))


app = Starlette(
    routes=[Route("/predict", predict, methods=["POST"])],
    middleware=[Middleware(DriftMiddleware, baseline=baseline)],
)
