"""The obvious service: a FastAPI route that reads each ID by Google's SDK, one after the other, and asks CatBoost.

What one writes on a Friday afternoon, and right: it gives the same scores as Keyscore. Written either way:

- `/predict/loop` (`naive-loop`) reads in an `async` route, where nobody else is served meanwhile. Requests per second
  are judged by this one: it is what most people write, and what the bar was set by (102 requests/s, as first measured).
- `/predict` (`naive`) reads in FastAPI's threads, and serves about three times as many; the ratio to it is told beside.
  One caller's cold IDs are judged by this one: alone, a caller waits for the same reads on either route.

Reads go over REST, the transport by which the SDK reaches an emulator unpatched.

Environment: NAIVE_STORE (URL), NAIVE_PROJECT, NAIVE_ONLINE_STORE, NAIVE_VIEW, NAIVE_MODEL (path of the model).
"""

import os

from catboost import CatBoostClassifier
from fastapi import FastAPI
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from pydantic import BaseModel
from vertexai.resources.preview import FeatureView


class Question(BaseModel):
    """The service's request."""

    instances: list[str]


class Answer(BaseModel):
    """The service's answer."""

    predictions: list[list[float]]


aiplatform.init(
    project=os.environ["NAIVE_PROJECT"],
    location="us-central1",
    credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth declares no types here
    api_transport="rest",
    api_endpoint=os.environ["NAIVE_STORE"],
)
view = FeatureView(os.environ["NAIVE_VIEW"], feature_online_store_id=os.environ["NAIVE_ONLINE_STORE"])
model = CatBoostClassifier().load_model(os.environ["NAIVE_MODEL"])

app = FastAPI()


@app.post("/predict")
def predict(question: Question) -> Answer:
    """The scores of these entities, read in a thread."""
    rows = []
    for entity_id in question.instances:
        features = view.read(key=[entity_id]).to_dict()["features"]
        values = {feature["name"]: feature["value"]["double_value"] for feature in features}
        rows.append([values[name] for name in model.feature_names_])
    return Answer(predictions=model.predict_proba(rows).tolist())


@app.post("/predict/loop")
async def predict_in_the_loop(question: Question) -> Answer:
    """The same, read where the event loop runs."""
    return predict(question)
