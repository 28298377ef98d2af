from load_tests.asking import Asker, scattered


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
