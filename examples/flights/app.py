"""A model server: will a flight out of New York be late?

uvicorn examples.flights.app:app --log-config examples/flights/logging.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from drift_middleware import DriftMiddleware

DATA = Path(__file__).parent / "data"
# To miss a flight costs more than to wait for one: warn from three in ten.
WARN = 0.3
Features = dict[Any, Any]


class Flight(BaseModel):
    """What is known before departure.  The weather station has gaps."""

    carrier: str
    origin: Literal["EWR", "JFK", "LGA"]
    dep_hour: int
    weekday: int
    distance: float
    temp: float | None = None
    humid: float | None = None
    wind_speed: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None


class Answer(BaseModel):
    prediction: Literal["late", "on time"]
    probability: float
    "that it arrives over 15 minutes late"


def train() -> Pipeline:
    flights = pd.read_csv(DATA / "train.csv")
    model = make_pipeline(
        DictVectorizer(sparse=False),  # one column per carrier and origin; numbers stay
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(),
    )
    return model.fit(features_of(flights), flights["late"])


def predict(flights: list[Features]) -> list[Answer]:
    return [
        Answer(
            prediction="late" if probability >= WARN else "on time",
            probability=round(probability, 4),
        )
        for probability in model.predict_proba(flights)[:, 1].tolist()
    ]


def baseline() -> pd.DataFrame:
    """Return flights that the model was not fitted to, with what it says of them.

    Its answers, not the target `late`: drift compares the model with itself.
    """
    flights = features_of(pd.read_csv(DATA / "baseline.csv"))
    answers = predict(flights)
    return pd.DataFrame(
        [flight | answer.model_dump() for flight, answer in zip(flights, answers, strict=True)]
    )


def features_of(flights: pd.DataFrame) -> list[Features]:
    columns = flights[list(Flight.model_fields)].astype(object)
    return columns.where(columns.notna(), None).to_dict("records")


model = train()
app = FastAPI(title="Will it be late?")
app.add_middleware(DriftMiddleware, baseline=baseline(), check_every=200)


@app.post("/predict")
def answer(flight: Flight) -> Answer:
    return predict([flight.model_dump()])[0]
