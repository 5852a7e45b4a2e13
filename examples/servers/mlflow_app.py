"""MLflow, from 2.21 on, whose scoring server is a FastAPI app.

The first line saves a model as training does; the second serves it.

$ python mlflow_app.py
$ uvicorn --factory mlflow_app:create_app
$ curl -i localhost:8000/invocations --json '{"dataframe_records": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"predictions": ["setosa"]}
"""

import mlflow
from fastapi import FastAPI
from iris import baseline, flowers, model, species
from mlflow.pyfunc import scoring_server

from drift_middleware import DriftMiddleware

MODEL = "iris_model"  # or `models:/...`, or any other URI of a model


def create_app() -> FastAPI:
    app = scoring_server.init(mlflow.pyfunc.load_model(MODEL))
    app.add_middleware(DriftMiddleware, baseline=baseline)
    return app


if __name__ == "__main__":
    signature = mlflow.models.infer_signature(flowers, species)
    mlflow.sklearn.save_model(model, MODEL, signature=signature)
