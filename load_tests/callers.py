"""What a caller asks about, and whether the answer is right; knows nothing of locust.

Some customers are looked at far more often than others: the k-th hottest key is drawn with a probability like 1/k.
"""

import json
import os
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from load_tests.asking import Asker, request_bytes
from load_tests.bundles import DEMO_BUNDLE, DEMO_STORE, Served
from load_tests.oracle import REFUSALS, Oracle
from load_tests.stored_rows import read_rows
from load_tests.stories import Span

ZIPF_EXPONENT: Final = 1.1
"""Web traffic has about 1. Source: Breslau et al., "Web Caching and Zipf-like Distributions" (1999)."""


class NoMetadata(RuntimeError):
    """A service does not say what it serves; the message says which, and what to do."""


def metadata_of(host: str) -> dict[str, Any]:
    """What the service with this base URL says of itself.

    Raises:
        NoMetadata: It does not.
    """
    url = f"{host}/metadata"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # the host under test
            return dict(json.load(answer))
    except (OSError, ValueError) as error:
        raise NoMetadata(
            f"{url} must say what is served, so that answers can be checked, and does not ({error}). "
            "KEYSCORE_ADMIN_PORT moves it and KEYSCORE_AUTH_AUDIENCE wants a token: locust knows neither"
        ) from error


class Zipf:
    """Draws hot items often and cold ones seldom; the first is the hottest."""

    def __init__(self, items: Sequence[str], exponent: float = ZIPF_EXPONENT) -> None:
        """Ranks the items in their order.

        Args:
            items: To be drawn.
            exponent: How steeply popularity falls with rank.
        """
        self._items = items
        self._sums = list(accumulate((rank + 1) ** -exponent for rank in range(len(items))))

    def draw(self, dice: Random) -> str:
        """One of the items."""
        return self._items[bisect_left(self._sums, dice.random() * self._sums[-1])]


@dataclass(slots=True)
class Deployment:
    """The service that is called, as far as callers must know it.

    Attributes:
        oracle: Knows every right answer.
        asker: Makes payments.
        hot: Customers as web apps ask for them.
        seed: Of all dice.
    """

    oracle: Oracle
    asker: Asker
    hot: Zipf
    seed: int

    @classmethod
    def of(cls, metadata: Mapping[str, Any], seed: int) -> "Deployment":
        """The deployment with this `/metadata`, whose bundle and rows are on this machine.

        They are the demo's unless `LOAD_BUNDLE` and `LOAD_STORE` name others with the same keys and fields.
        """
        bundle = Path(os.environ.get("LOAD_BUNDLE", DEMO_BUNDLE))
        store = Path(os.environ.get("LOAD_STORE", DEMO_STORE))
        served = Served(bundle, store)
        oracle = Oracle()
        oracle.learn(metadata, served)
        customers = list(read_rows(store, "customer_account"))
        Random(seed).shuffle(customers)  # noqa: S311  # who is hot is a matter of luck, not of the alphabet
        asker = Asker(seed, customers=customers, merchants=list(read_rows(store, "merchant_risk")))
        return cls(oracle, asker, Zipf(customers), seed)


@dataclass(frozen=True, slots=True)
class Question:
    """A request on its way.

    Attributes:
        path: Where it goes.
        body: JSON.
        request_id: Its own.
        sent: When it was made, by the truth's clock.
    """

    path: str
    body: bytes
    request_id: str
    sent: float

    @property
    def text(self) -> str:
        """The body as locust's client wants it."""
        return self.body.decode()


class Caller:
    """One caller: makes its questions and judges the answers."""

    _numbers: Final = count()

    def __init__(self, deployment: Deployment) -> None:
        """Calls a deployment."""
        self._deployment = deployment
        self._number = next(self._numbers)
        self._asked = 0
        self.dice = Random(deployment.seed * 1_000_003 + self._number)  # noqa: S311  # to be repeated

    def question(self, path: str, instances: Sequence[Mapping[str, Any]]) -> Question:
        """The next request."""
        self._asked += 1
        request_id = f"seed{self._deployment.seed}-caller{self._number}-{self._asked}"
        return Question(path, orjson.dumps({"instances": instances}), request_id, time.monotonic())

    def wrong(self, question: Question, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        """What is wrong with the answer; None if nothing is. A refusal is: these callers are not too many."""
        if status <= 0:
            return "no answer"
        request = request_bytes(question.path, question.body, question.request_id)
        span = Span(question.sent, time.monotonic())
        wrong = self._deployment.oracle.check(request, status, headers, body, span)
        return wrong or (f"refused with {status}" if status in REFUSALS else None)

    def hot_payment(self) -> dict[str, Any]:
        """A payment of a customer who is hot, or is not."""
        return {**self.payment(), "customer_id": self._deployment.hot.draw(self.dice)}

    def payment(self) -> dict[str, Any]:
        """A payment of anybody."""
        return self._deployment.asker.payment(self.dice.randrange(2**32))
