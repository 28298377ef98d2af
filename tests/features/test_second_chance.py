"""Places are given out, kept, given up and taken over; a key's place is its own until then."""

from hypothesis import given
from hypothesis import strategies as st

from features.second_chance import SecondChance


def _keys(count: int, prefix: str = "C") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def _full(most: int) -> SecondChance:
    places = SecondChance(most)
    for key in _keys(most):
        places.place(key)
    return places


def test_a_key_keeps_its_place() -> None:
    places = SecondChance(3)
    assert places.place_of("C1") is None
    place = places.place("C1")
    assert places.place("C2") != place
    assert [places.place_of("C1"), places.place("C1")] == [place, place]
    assert repr(places) == "<SecondChance 2/3 keys>"


def test_places_are_numbered_from_0_without_a_gap() -> None:
    places = SecondChance(3_000)
    assert [places.place(key) for key in _keys(3_000)] == list(range(3_000))


def test_the_places_of_many_keys_are_found_together() -> None:
    places = _full(50)
    asked = ["C7", "unknown", "C0", "C7"]
    assert places.find_all(asked).tolist() == [7, -1, 0, 7]
    assert places.find_all(["unknown"]).tolist() == [-1]
    assert places.find_all([]).tolist() == []


def test_keys_found_together_count_as_used_and_no_others_do() -> None:
    places = _full(50)
    places.find_all(["C1", "unknown", "C49"][:2])
    assert [at for at in range(50) if places.used[at]] == [1]
    places.find_all(["C49"])
    assert [at for at in range(50) if places.used[at]] == [1, 49]


def test_who_has_to_leave_is_told_before_the_key_is_gone() -> None:
    places = _full(3)
    told: list[tuple[int, int | None]] = []
    places.on_leave.append(lambda place: told.append((place, places.place_of("C0"))))
    assert places.place("new") == 0
    assert told == [(0, 0)]
    assert places.place_of("C0") is None


def test_to_make_room_few_keys_are_looked_at_however_many_were_used() -> None:
    places = _full(1_000)
    places.find_all(_keys(1_000))
    place = places.place("new")
    assert places.used.count(0) == 64 + 1
    assert (len(places), places.place_of("new")) == (1_000, place)


def test_a_place_that_was_given_up_is_given_out_before_anybody_has_to_leave() -> None:
    places = _full(3)
    places.forget("C1")
    places.forget("C1")
    assert places.place("new") == 1
    assert [places.place_of(key) for key in ("C0", "C1", "C2")] == [0, None, 2]


def test_who_keeps_something_at_places_is_told_of_new_ones_before_they_are_given_out() -> None:
    places = SecondChance(1_500)
    told: list[tuple[int, int]] = []
    places.on_grow.append(lambda count: told.append((count, len(places))))
    for key in _keys(1_600):
        places.place(key)
    assert told == [(1_024, 0), (1_500, 1_024)]


@given(st.lists(st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from(["place", "find", "forget"])), max_size=60))
def test_no_two_keys_have_the_same_place(steps: list[tuple[str, str]]) -> None:
    places = SecondChance(4)
    left: list[int] = []
    places.on_leave.append(left.append)
    for key, step in steps:
        before = len(left)
        if step == "place":
            assert places.place(key) == places.place_of(key)
        elif step == "find":
            assert places.find_all([key]).tolist() == [-1 if (place := places.place_of(key)) is None else place]
        else:
            places.forget(key)
            assert places.place_of(key) is None
        held = [place for one in "ABCDEFGH" if (place := places.place_of(one)) is not None]
        assert len(held) == len(set(held)) == len(places) <= 4
        assert set(held) <= set(range(4))
        assert len(left) - before <= 1
