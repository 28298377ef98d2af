"""Whatever happens in whatever order, retrieval answers like a model of twenty lines.

Time moves in steps of 5 s and every border of the view lies in (9, 10], (19, 20], (39, 40] or (4, 5], so the jitter
of TTLs never decides.
"""

import asyncio
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded, StoreUnavailable
from features.events import Nobody
from features.freshness import Bounds
from features.keys import KeyPart
from features.planning import Lookup
from features.retrieval import Retrieval
from features.spec import CachePolicy, Entity, FeatureView
from features.stores.memory import MemoryStore
from features.values import Column, DType, Retrieved, RowLayout, Source

_POLICY = CachePolicy(ttl_s=10, stale_while_revalidate_s=10, stale_if_error_s=30, negative_ttl_s=5)
_VIEW = FeatureView(
    "v", Entity("e", (KeyPart("k"),)), RowLayout((Column("version", DType.INT),)), cache=_POLICY, read_timeout_s=1e6
)
_DOWN = StoreUnavailable("down")
_KEYS = st.lists(st.sampled_from("ABC"), min_size=1, max_size=4)
_MAX_CACHED_S = st.sampled_from([None, None, 0, 5, 15, 25])


@dataclass(frozen=True)
class Known:
    """What the model remembers of a key: the version that a read found, None for no row, and when it began."""

    version: int | None
    read_at: float


class RetrievalRules(RuleBasedStateMachine):
    """The service and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.retrieval = Retrieval([_VIEW], self.store, self.clock, Nobody(), max_rows=100, read_timeout_s=1)
        self.truth: dict[str, int] = {}
        self.known: dict[str, Known] = {}
        self.down = False
        self.version = 0

    def teardown(self) -> None:
        self.runner.run(self.retrieval.aclose())
        self.runner.close()

    # What happens in the world

    @rule(key=st.sampled_from("ABC"))
    def put(self, key: str) -> None:
        self.version += 1
        self.truth[key] = self.version
        self.store.put("v", key, {"version": self.version})

    @rule(key=st.sampled_from("ABC"))
    def remove(self, key: str) -> None:
        self.truth.pop(key, None)
        self.store.remove("v", key)

    @rule(steps=st.integers(1, 5))
    def time_passes(self, steps: int) -> None:
        self.clock.advance(5 * steps)

    @rule(seconds=st.sampled_from([-1e9, -3600, 3600, 3e8]))
    def wall_clock_steps(self, seconds: float) -> None:
        self.clock.step_wall(seconds)

    @rule(down=st.booleans())
    def store_goes_down_or_up(self, *, down: bool) -> None:
        self.down = down

    # Requests

    @rule(keys=_KEYS, max_cached_s=_MAX_CACHED_S)
    def get(self, keys: list[str], max_cached_s: float | None) -> None:
        """The store answers or fails at once."""
        if self.down:
            self.store.fail(_DOWN)
        expected = self._expected(keys, max_cached_s, failure=_DOWN if self.down else None)
        got = self.runner.run(self._get(keys, max_cached_s))
        self.store.heal()
        if not self.down:
            self._remember(keys, max_cached_s, self.clock.monotonic(), dict(self.truth))
        assert [self._seen(one) for one in got] == expected

    @rule(keys=_KEYS, max_cached_s=_MAX_CACHED_S)
    def get_in_vain(self, keys: list[str], max_cached_s: float | None) -> None:
        """The store hangs until the deadline has passed, and then answers what was true when it was asked."""
        began, truth = self.clock.monotonic(), dict(self.truth)
        expected = self._expected(keys, max_cached_s, failure=DeadlineExceeded())
        self.store.hold()
        got = self.runner.run(self._get(keys, max_cached_s, wait_s=5))
        self.store.release()
        self.runner.run(_settle())
        self._remember(keys, max_cached_s, began, truth)
        assert [self._seen(one) for one in got] == expected

    @rule(key=st.sampled_from("ABC"))
    def get_and_leave(self, key: str) -> None:
        """The caller goes away; the read goes on."""
        if not self.down:
            self.runner.run(self._get_and_leave(key))
            self._remember([key], None, self.clock.monotonic(), dict(self.truth))

    @rule(key=st.sampled_from("ABC"), newest_lands_first=st.booleans())
    def two_reads_overlap(self, key: str, *, newest_lands_first: bool) -> None:
        """Two strict requests at different times; the later read is believed, whichever ends first."""
        self.clock.advance(5)  # so that no row is known from this very instant
        first = Known(self.truth.get(key), self.clock.monotonic())
        got = self.runner.run(self._two_reads(key, newest_lands_first=newest_lands_first))
        second = self.known[key] = Known(self.truth[key], self.clock.monotonic())
        told = [second if newest_lands_first else first, second]
        assert [self._seen(one) for one in got] == [
            (known.version, Source.STORE, known.read_at, False, type(None)) for known in told
        ]

    @invariant()
    def nothing_is_left_running(self) -> None:
        assert self.store.under_way == 0

    @invariant()
    def no_read_asks_for_a_key_twice(self) -> None:
        assert all(len(set(read.keys)) == len(read.keys) for read in self.store.reads)

    # The service

    async def _get(self, keys: list[str], max_cached_s: float | None, wait_s: float = 0) -> list[Retrieved]:
        lookup = Lookup(_VIEW, tuple(keys))
        bounds = Bounds.of_request(self.clock.monotonic(), max_cached_s, None)
        asked = asyncio.create_task(self.retrieval.retrieve([lookup], bounds, Deadline.after(5, self.clock)))
        await _settle()
        self.clock.advance(wait_s)
        (rows,) = await asked
        if not wait_s:
            await _settle()  # lets a refresh in the background end
        return rows

    async def _get_and_leave(self, key: str) -> None:
        lookup = Lookup(_VIEW, (key,))
        gate = self.store.hold()
        asked = asyncio.create_task(self.retrieval.retrieve([lookup], Bounds(), Deadline.after(5, self.clock)))
        await _settle()
        asked.cancel()
        await _settle()
        gate.set()
        self.store.release()
        await _settle()

    async def _two_reads(self, key: str, *, newest_lands_first: bool) -> list[Retrieved]:
        lookup, asked, gates = Lookup(_VIEW, (key,)), [], []
        for late in (False, True):
            if late:
                self.clock.advance(5)
                self.put(key)
            bounds, deadline = Bounds(read_since=self.clock.monotonic()), Deadline.after(100, self.clock)
            gates.append(self.store.hold())
            asked.append(asyncio.create_task(self.retrieval.retrieve([lookup], bounds, deadline)))
            await _settle()
        for gate in reversed(gates) if newest_lands_first else gates:
            gate.set()
            await _settle()
        self.store.release()
        return [rows[0] for (rows,) in await asyncio.gather(*asked)]

    @staticmethod
    def _seen(one: Retrieved) -> tuple[object, ...]:
        version = None if one.row is None else _VIEW.layout.value(one.row, 0)
        return version, one.source, one.read_at, one.degraded, type(one.error)

    # The model

    def _expected(
        self, keys: list[str], max_cached_s: float | None, *, failure: Exception | None
    ) -> list[tuple[object, ...]]:
        return [self._expected_one(key, max_cached_s, failure) for key in keys]

    def _expected_one(self, key: str, max_cached_s: float | None, failure: Exception | None) -> tuple[object, ...]:
        now = self.clock.monotonic()
        known, verdict = self._judge(key, max_cached_s, now)
        if known is not None and verdict in {"fresh", "stale"}:
            source = Source.CACHE if verdict == "fresh" else Source.STALE
            return known.version, source, known.read_at, False, type(None)
        if failure is None:
            return self.truth.get(key), Source.STORE, now, False, type(None)
        if known is not None and verdict == "stale if error":
            return known.version, Source.STALE, known.read_at, True, type(None)
        return None, Source.STORE, 0.0, False, type(failure)

    def _judge(self, key: str, max_cached_s: float | None, now: float) -> tuple[Known | None, str]:
        known = self.known.get(key)
        if known is None:
            return None, "missing"
        age_s = now - known.read_at
        if max_cached_s is not None and age_s > max_cached_s:
            return None, "missing"
        if known.version is None:
            return known, "fresh" if age_s < 5 else "missing"
        windows = ((10, "fresh"), (20, "stale"), (40, "stale if error"))
        return known, next((verdict for end, verdict in windows if age_s < end), "missing")

    def _remember(self, keys: list[str], max_cached_s: float | None, began: float, truth: dict[str, int]) -> None:
        """Every key that was not fresh when the request began has been read since."""
        for key in set(keys):
            if self._judge(key, max_cached_s, began)[1] != "fresh":
                self.known[key] = Known(truth.get(key), began)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


RetrievalRules.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestRetrievalRules = RetrievalRules.TestCase
