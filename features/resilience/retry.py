"""Retry: a call that failed in a way that passes is made again, soon, seldom, and never past its deadline.

Source of the backoff: gRFC A6, "Exponential Backoff": attempt n waits for random(0, initial * 2^(n-1)). The jitter is
what counts: callers that failed together must not come back together.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from features.clock import Clock
from features.deadline import Deadline
from features.errors import without_history
from features.resilience.budget import TokenBudget

T = TypeVar("T")


class Retry:
    """Makes a call as often as its errors are worth, within a budget.

    Attributes:
        retries: Calls made again so far.
    """

    __slots__ = ("_backoff_s", "_budget", "_clock", "_pushback_s", "_random", "_worth", "retries")

    def __init__(
        self,
        clock: Clock,
        budget: TokenBudget,
        worth: Callable[[Exception], int],
        *,
        pushback_s: Callable[[Exception], float] = lambda _: 0.0,
        backoff_s: float = 0.02,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Prepares calls of one kind.

        Args:
            clock: The time.
            budget: Pays for every retry. Successes fill it, so a backend that is down for good sees few of them.
            worth: How many attempts in all an error is worth; 1 is "do not try again".
            pushback_s: How long an error asks us to stay away.
            backoff_s: The longest wait before the second attempt; twice that before the third. A broken connection is
                replaced in that time, and three attempts still fit into a budget of a few hundred milliseconds.
            random: Uniform over [0, 1).
        """
        self._clock = clock
        self._budget = budget
        self._worth = worth
        self._pushback_s = pushback_s
        self._backoff_s = backoff_s
        self._random = random
        self.retries = 0

    def __repr__(self) -> str:
        return f"<Retry {self.retries} retries, {self._budget!r}>"

    async def call(self, attempt: Callable[[int], Awaitable[T]], deadline: Deadline) -> T:
        """What the first attempt to succeed returns.

        Args:
            attempt: Makes the call; is given the attempt's number, from 1.
            deadline: No attempt begins after it.

        Raises:
            Exception: What the last attempt raised.
        """
        number = 1
        while True:
            try:
                answer = await attempt(number)
            except Exception as error:
                pause_s = self._pushback_s(error) + self._random() * self._backoff_s * 2 ** (number - 1)
                # The budget is asked last, as asking it takes a token.
                if number >= self._worth(error) or pause_s >= deadline.remaining_s or not self._budget.withdraw():
                    raise
                without_history(error)  # nobody hears of it
            else:
                self._budget.deposit()
                return answer
            await self._pause(pause_s)
            self.retries += 1
            number += 1

    async def _pause(self, pause_s: float) -> None:
        nothing = asyncio.get_running_loop().create_future()  # the clock waits for futures; this one never comes
        await self._clock.wait((nothing,), self._clock.monotonic() + pause_s)
