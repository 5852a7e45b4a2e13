"""What the examples beside this file serve: a model of iris flowers, and its baseline.

Start each in this folder.  Its severity is `unknown` until the first check, after 500 requests.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

iris = load_iris(as_frame=True)
flowers = iris.data.set_axis(NAMES, axis="columns")
species = iris.target_names[iris.target]
model = LogisticRegression(max_iter=1000).fit(flowers, species)

# What a model says of flowers that it was not fitted to: its own answers, not the true species.
baseline = flowers.assign(prediction=cross_val_predict(model, flowers, species))


def classify(rows: Any) -> list[str]:
    """Name the species of flowers, which come as records or as lists in the order of `NAMES`."""
    answers: list[str] = model.predict(pd.DataFrame(rows, columns=NAMES)).tolist()
    return answers
