"""Hello world: a bare FastAPI app that takes our request by pydantic, does nothing with it and answers by pydantic.

Served by the service's own uvicorn, uvloop and httptools. What a request costs before anybody has done anything for it:
`/predict` as cheap as FastAPI has it, `/predict/thread` as a route that may block, which costs as much again.
"""

from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    """The service's request."""

    instances: list[str]


class Answer(BaseModel):
    """The service's answer."""

    predictions: list[list[float]]


CONSTANT = Answer(predictions=[[0.25, 0.75]])

app = FastAPI()


@app.post("/predict")
async def predict(question: Question) -> Answer:  # noqa: ARG001  # parsed all the same
    """Always the same."""
    return CONSTANT


@app.post("/predict/thread")
def predict_in_a_thread(question: Question) -> Answer:  # noqa: ARG001  # same
    """The same."""
    return CONSTANT
