"""HTTP with patience, for the start of the process: the door to httpx.

Reading a bundle may wait and try again, which the request path never does.

Source: cloud.google.com/storage/docs/retry-strategy (which answers are worth another try).
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Seconds to connect, and to wait for the next bytes; the platform's start-up probe bounds the whole."""

_ATTEMPTS: Final = 4
_BACKOFF_S: Final = 0.5
"""Wait before the second attempt; doubled each time, 3.5 s in all."""

_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})


class Unanswered(Exception):
    """Nobody answered, or not to the end; the message says why. Does not leave this package."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the attributes are those of `google.auth.transport.Response`."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Fetcher:
    """A few requests over shared connections."""

    __slots__ = ("_client", "_sleep")

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep, proxies: bool = True) -> None:
        """Connects to nothing yet.

        Args:
            sleep: How to wait between attempts.
            proxies: Whether to go through the proxies that the environment names.
        """
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=proxies)
        self._sleep = sleep

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The first answer that is not a passing trouble, else the last one.

        Raises:
            Unanswered: The last attempt ended without an answer, or `url` is not an address.
        """
        for attempt in range(_ATTEMPTS - 1):
            with suppress(Unanswered):
                answer = self.send("GET", url, headers=headers)
                if answer.status not in _TRANSIENT:
                    return answer
            self._sleep(_BACKOFF_S * 2**attempt)
        return self.send("GET", url, headers=headers)  # the last one counts, whatever it is

    def send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """The answer to one request.

        Raises:
            Unanswered: There was none, or `url` is not an address.
        """
        wait = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            response = self._client.request(method, url, content=body, headers=headers, timeout=wait)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise Unanswered(str(error) or type(error).__name__) from error
        return Answer(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()
