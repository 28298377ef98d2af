import orjson

from load_tests.asking import Asker, scattered
from load_tests.bundles import plain_key


def test_scattered_bits_are_those_of_splitmix64() -> None:
    """What the reference implementation gives first for the seeds 0 and 1."""
    assert scattered(0) == 0xE220A8397B1DCDAF
    golden = 0x9E3779B97F4A7C15
    mixed = [scattered(0), scattered(1), scattered(2)]
    assert mixed == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F], hex(golden)


def test_every_warm_entity_is_asked_for_about_equally_often() -> None:
    asker = Asker(7, entities=50)
    asked = [asker.request("simple_warm", number).rsplit(b'"', 2)[1] for number in range(10_000)]
    counts = [asked.count(key) for key in set(asked)]
    assert len(counts) == 50
    assert 130 < min(counts) <= max(counts) < 270


def test_the_same_number_is_the_same_request_and_another_seed_another() -> None:
    assert Asker(1).request("simple_warm", 5) == Asker(1).request("simple_warm", 5)
    assert Asker(1).request("simple_warm", 5) != Asker(2).request("simple_warm", 5)


def test_a_warm_request_of_several_ids_holds_an_entity_and_those_after_it_from_the_first_again_after_the_last() -> None:
    asker = Asker(7, entities=5, warm_ids=3)
    for number in range(30):
        asked = orjson.loads(asker.request("simple_warm", number).partition(b"\r\n\r\n")[2])["instances"]
        first = int(asked[0][1:])
        assert asked == [plain_key((first + at) % 5) for at in range(3)]
