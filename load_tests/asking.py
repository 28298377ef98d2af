"""What callers send: HTTP requests as bytes, ready for the socket.

Each carries an `X-Request-Id` of seed and number, which the service sends back: an answer is known by its request, and
whatever is reported can be asked again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import orjson

from load_tests.bundles import plain_key

KINDS: Final = ("simple_warm", "simple_cold", "detailed_cold", "fraud", "batch")
"""Warm: 20,000 entities drawn alike; cold: every entity new; fraud: the demo's keys, an amount; batch: 10,000 IDs."""

SIMPLE: Final = "/predict"
DETAILED: Final = "/predict/detailed"
WARM_ENTITIES: Final = 20_000
BATCH_SIZE: Final = 10_000

PATIENT: Final = "X-Request-Timeout-Ms: 10000"
"""A batch may take its time."""

_KEY_BYTES: Final = len(plain_key(0)) + 3
"""A key of the plain bundle in JSON, with its quotes and a comma; all are equally long."""

_64_BITS: Final = 2**64 - 1
CHANNELS: Final = ("chip", "contactless", "online")


def request_bytes(path: str, body: bytes, request_id: str | None, *headers: str) -> bytes:
    """One HTTP/1.1 request that keeps its connection; without an id the service gives it one."""
    named = () if request_id is None else (f"X-Request-Id: {request_id}",)
    more = "".join(f"{header}\r\n" for header in (*named, *headers))
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def ask(path: str, instances: Sequence[Any], request_id: str | None, *headers: str) -> bytes:
    """The request for these instances."""
    return request_bytes(path, orjson.dumps({"instances": instances}), request_id, *headers)


def scattered(number: int) -> int:
    """64 bits that look random and are always the same: drawing an entity takes 0.4 us, seeding a `Random` eight.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
    """
    bits = (number + 1) * 0x9E3779B97F4A7C15 & _64_BITS
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _64_BITS
    return bits ^ bits >> 31


@dataclass(slots=True)
class Asker:
    """Makes requests; request `number` of a kind is always the same bytes, so it can be made again to be looked at.

    Attributes:
        seed: Of its dice.
        entities: How many entities the plain bundle has.
        customers: Keys of the demo's customers.
        merchants: Keys of the demo's merchants.
        batch_size: IDs in a batch.
        warm_ids: IDs in a warm request: one entity and those after it.
        begun: Numbers that runs have taken so far.
    """

    seed: int = 1
    entities: int = WARM_ENTITIES
    customers: Sequence[str] = ()
    merchants: Sequence[str] = ()
    batch_size: int = BATCH_SIZE
    warm_ids: int = 1
    begun: int = 0
    _warm_keys: bytes = b""

    def request(self, kind: str, number: int) -> bytes:
        """Request `number` of a kind.

        Cold ones take entities in turn: after the last one, the first again.
        """
        request_id = f"seed{self.seed}-{number}"
        match kind:
            case "simple_warm":
                return request_bytes(SIMPLE, b'{"instances":[%b]}' % self._warm(number), request_id)
            case "simple_cold":
                return ask(SIMPLE, [plain_key(number % self.entities)], request_id)
            case "detailed_cold":
                return ask(DETAILED, [plain_key(number % self.entities)], request_id)
            case "batch":
                first = number * self.batch_size
                wanted = [plain_key(at % self.entities) for at in range(first, first + self.batch_size)]
                return ask(SIMPLE, wanted, request_id, PATIENT)
            case "fraud":
                return ask(DETAILED, [self.payment(number)], request_id)
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")

    def maker(self, kind: str, arrivals: int) -> Callable[[int], bytes]:
        """Requests of one run, whose cold ones ask for nobody whom an earlier run has asked for.

        Args:
            kind: See `KINDS`.
            arrivals: How many requests the run has at most.
        """
        first = self.begun
        self.begun += arrivals
        return lambda number: self.request(kind, first + number)

    def _warm(self, number: int) -> bytes:
        """Keys of one warm request as JSON, cut out of a text of all: a microsecond, however many they are."""
        warm = min(WARM_ENTITIES, self.entities)
        if not self._warm_keys:
            self._warm_keys = b"".join(b'"%b",' % plain_key(at % warm).encode() for at in range(warm + self.warm_ids))
        first = scattered(self.seed << 40 | number) % warm
        return self._warm_keys[first * _KEY_BYTES : (first + self.warm_ids) * _KEY_BYTES - 1]

    def payment(self, number: int) -> dict[str, Any]:
        """A payment of the demo, to be scored."""
        dice = self._dice(number)
        return {
            "customer_id": dice.choice(self.customers),
            "merchant_id": dice.choice(self.merchants),
            "amount": round(dice.lognormvariate(3.5, 1.0), 2),
            "channel": dice.choice(CHANNELS),
        }

    def _dice(self, number: int) -> Random:
        return Random(self.seed << 40 | number)  # noqa: S311  # to be repeated, not to be unguessable
