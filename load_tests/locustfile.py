"""Locust users that behave like the callers: a web app, a fraud system, a nightly batch.

    make load                   # with locust's web page, on http://localhost:8089
    make load PROFILE=locust    # without it, with a report at var/load/locust.html

Every answer is checked by the oracle; a wrong one is a failure in locust's tables, under what is wrong with it.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from locust import FastHttpUser, between, constant_pacing, events, task
from locust.env import Environment

from load_tests.asking import DETAILED, SIMPLE
from load_tests.callers import Caller, Deployment, metadata_of

SEED: Final = int(os.environ.get("LOAD_SEED", "1"))
BATCH_SIZE: Final = int(os.environ.get("LOAD_BATCH_SIZE", "1000"))

_JSON: Final = {"Content-Type": "application/json"}
_deployments: Final[dict[str, Deployment]] = {}


@events.init.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
@events.test_start.add_listener  # type: ignore[untyped-decorator]  # same
def learn(environment: Environment, **_: Any) -> None:
    """Asks the service what it serves: before the clock runs, and again where the page was given another host."""
    host = _host(environment)
    if host in _deployments or not environment.host:
        return
    _deployments[host] = Deployment.of(metadata_of(host), SEED)


class Calling(FastHttpUser):
    """A user whose answers are checked."""

    abstract = True
    host = "http://localhost:8080"
    more_headers: ClassVar[Mapping[str, str]] = {}

    def on_start(self) -> None:
        """Becomes a caller of its own."""
        self.caller = Caller(_deployments[_host(self.environment)])

    def ask(self, path: str, instances: Sequence[Mapping[str, Any]]) -> None:
        """Asks once; what is wrong with the answer is a failure of the request."""
        question = self.caller.question(path, instances)
        headers = {**_JSON, **self.more_headers, "X-Request-Id": question.request_id}
        name = f"{path} ({type(self).__name__})"
        with self.client.post(path, name=name, data=question.text, headers=headers, catch_response=True) as answer:
            found = {name.lower(): value for name, value in (answer.headers or {}).items()}
            wrong = self.caller.wrong(question, answer.status_code, found, answer.content or b"")
            if wrong is not None:
                answer.failure(wrong)


class WebApp(Calling):
    """A page that shows a score: one payment, just the probabilities, the same customers again and again."""

    weight = 10
    wait_time = between(0.2, 1.0)

    @task
    def show_score(self) -> None:
        """One customer's payment."""
        self.ask(SIMPLE, [self.caller.hot_payment()])


class Fraud(Calling):
    """A fraud system inside a payment: several entities and an amount, the whole story, 300 ms to live."""

    weight = 4
    wait_time = between(0.1, 0.5)
    more_headers: ClassVar[Mapping[str, str]] = {"X-Request-Timeout-Ms": "300"}

    @task
    def check_payment(self) -> None:
        """A payment, sometimes with others that came together with it."""
        self.ask(DETAILED, [self.caller.payment() for _ in range(self.caller.dice.choice((1, 1, 1, 2, 3)))])


class Batch(Calling):
    """A job that scores many payments at once and can wait."""

    weight = 1
    wait_time = constant_pacing(5)
    more_headers: ClassVar[Mapping[str, str]] = {"X-Request-Timeout-Ms": "10000"}

    @task
    def score_all(self) -> None:
        """LOAD_BATCH_SIZE payments."""
        self.ask(SIMPLE, [self.caller.payment() for _ in range(BATCH_SIZE)])


def _host(environment: Environment) -> str:
    return str(environment.host or Calling.host).rstrip("/")
