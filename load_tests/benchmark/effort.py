"""How much is done: a full run in minutes, or a little of everything to see that it works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """The size of everything.

    Attributes:
        repetitions: How often the contenders take turns; the first turn of each is on top of that and is not counted.
        seconds: Length of a turn at a number of connections.
        warm: IDs that warm requests draw from.
        cold: IDs that the store has beside those, to be asked for once.
        some: IDs in a middling request.
        many: IDs in a large one.
        sets: Different large requests.
        large: Large requests in a turn.
        singles: Cold requests of one ID in a turn, and as many reads by the bare client.
        hundreds: Cold requests of `some` IDs in a turn.
        file: Rows in a file of payments.
        naive: The same, of the naive service, which takes its time.
        starts: How often the service is started.
        cached: Entities in cache when memory is looked at first, and last.
        fillings: How often a cache is filled for that.
        shares: Rates that latency is plotted for, as shares of what the closed loop gets.
        rate_s: Seconds at each of them.
        trees: Of the plain model.
        check_every: One answer in this many to a request of one ID is checked.
        short: Whether figures prove nothing and are not judged. A busy machine is slow, not wrong, so the services get
            all the time they need then.
    """

    repetitions: int = 6
    seconds: float = 2.0
    warm: int = 20_000
    cold: int = 40_000
    some: int = 100
    many: int = 1_000
    sets: int = 10
    large: int = 30
    singles: int = 100
    hundreds: int = 20
    file: int = 1_000_000
    naive: int = 2
    starts: int = 20
    cached: tuple[int, int] = (20_000, 120_000)
    fillings: int = 3
    shares: tuple[float, ...] = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
    rate_s: float = 3.0
    trees: int = 500
    check_every: int = 199
    short: bool = False


FULL: Final = Effort()

SHORT: Final = Effort(
    repetitions=2,
    seconds=0.3,
    warm=1_000,
    cold=2_000,
    sets=3,
    large=3,
    singles=5,
    hundreds=2,
    file=5_000,
    naive=1,
    starts=2,
    cached=(1_000, 3_000),
    fillings=1,
    shares=(0.1, 0.5),
    rate_s=0.5,
    trees=50,
    check_every=7,
    short=True,
)
