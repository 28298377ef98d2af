"""Single-flight: a key that is being fetched is not fetched again by those who would be content with that fetch.

A flight is one call for several keys. It is a task of its own: those who wait for it come and go, each with their own
deadline, and none of them takes it down, because what it brings is worth keeping for the next one. It is bounded by
its own time instead. Its failure is shared by those who waited and remembered by nobody.

Source: golang.org/x/sync/singleflight, extended by batches and by the three conditions under which one may join.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from features.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flight(Generic[K, V]):
    """One call that is under way for several keys.

    Attributes:
        began_at: When it began, on the monotonic clock; what it brings is not older than that.
        ends_at: Its own time; a flight past it is not joined, only waited for.
        keys: The keys that it will bring.
        task: The call; resolves to an answer for each key.
        slow: Whether it takes so long that who is in a hurry had better not wait for it.
    """

    __slots__ = ("began_at", "ends_at", "keys", "slow", "task")

    def __init__(
        self,
        began_at: float,
        ends_at: float,
        keys: list[K],
        task: "asyncio.Task[Mapping[K, V]]",
        *,
        slow: bool = False,
    ) -> None:
        self.began_at = began_at
        self.ends_at = ends_at
        self.keys = keys
        self.task = task
        self.slow = slow


class SingleFlight(Generic[K, V]):
    """Knows which keys are in the air."""

    __slots__ = ("_clock", "_flights", "_tasks")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights: dict[K, Flight[K, V]] = {}
        self._tasks: set[asyncio.Task[Mapping[K, V]]] = set()

    def __repr__(self) -> str:
        return f"<SingleFlight {len(self._tasks)} flights for {len(self._flights)} keys>"

    def join(self, key: K, began_since: float | None, *, hurried: bool = False) -> Flight[K, V] | None:
        """The flight that will bring `key`, if one is under way that will do.

        Args:
            key: The key wanted.
            began_since: The flight must have begun at this instant or later; None for any.
            hurried: Whether a slow one will not do.
        """
        flight = self._flights.get(key)
        if flight is None or self._clock.monotonic() >= flight.ends_at or (hurried and flight.slow):
            return None
        if began_since is not None and flight.began_at < began_since:
            return None
        return flight

    def launch(
        self,
        keys: Iterable[K],
        call: Callable[[float], Coroutine[Any, Any, Mapping[K, V]]],
        time_s: float,
        *,
        slow: bool = False,
    ) -> Flight[K, V]:
        """Begins a flight for `keys`; later requests for them find it.

        Args:
            keys: The keys it will bring; an earlier flight for one of them goes on, but is not found any more.
            call: Makes the call; is given the instant at which the flight began.
            time_s: The flight's own time, which `call` has to keep.
            slow: Whether who is in a hurry had better not wait for it.
        """
        began_at = self._clock.monotonic()
        task = asyncio.create_task(call(began_at))
        flight = Flight(began_at, began_at + time_s, list(keys), task, slow=slow)
        self._flights.update(dict.fromkeys(flight.keys, flight))
        self._tasks.add(task)  # the loop holds tasks weakly
        task.add_done_callback(lambda done: self._land(flight, done))
        return flight

    def board(self, flight: Flight[K, V], keys: Collection[K]) -> None:
        """Adds `keys` to a flight whose call has not asked for any yet; later requests for them find it.

        For a call whose keys are found little by little: those found first are in the air at once, and nobody who wants
        one of them in the meantime fetches it again.
        """
        if flight.task.done():
            return  # ended before it began; whoever waits for it will hear
        flight.keys.extend(keys)
        self._flights.update(dict.fromkeys(keys, flight))

    async def aclose(self) -> None:
        """Ends all flights that are under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _land(self, flight: Flight[K, V], task: "asyncio.Task[Mapping[K, V]]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of: a flight that nobody waits for any more may fail in silence
        for key in flight.keys:
            if self._flights.get(key) is flight:
                del self._flights[key]
