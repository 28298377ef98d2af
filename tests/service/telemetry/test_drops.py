"""What telemetry leaves out is counted, by whichever thread it was left out."""

from concurrent.futures import ThreadPoolExecutor

from service.telemetry.drops import Drops


def test_nothing_is_dropped_before_anything_is() -> None:
    assert Drops().counts() == {"metrics": 0, "traces": 0, "logs": 0}


def test_what_several_threads_drop_adds_up() -> None:
    drops = Drops()

    def drop_many(_: int) -> None:
        for _ in range(1_000):
            drops.add("logs")
            drops.add("traces", 3)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(drop_many, range(4)))
    assert drops.counts() == {"metrics": 0, "traces": 12_000, "logs": 4_000}
    assert repr(drops) == "<Drops {'metrics': 0, 'traces': 12000, 'logs': 4000}>"
