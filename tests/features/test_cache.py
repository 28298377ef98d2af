"""The cache keeps and forgets; it decides nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cache import JITTER, ViewCache
from features.keys import KeyPart
from features.second_chance import SecondChance
from features.spec import Entity, FeatureView
from features.values import Column, DType, FeatureRow, RowLayout

LAYOUT = RowLayout((Column("balance", DType.FLOAT), Column("visits", DType.INT), Column("city", DType.STRING)))


def _row(number: float) -> FeatureRow:
    return LAYOUT.pack({"balance": number, "city": f"Oslo {number}"}, number)


def _cache(view: FeatureView, max_rows: int = 3, jitter: float = 0.0) -> ViewCache:
    return ViewCache(view, SecondChance(max_rows), lambda: jitter)


def test_what_was_put_is_remembered_however_old(view: FeatureView) -> None:
    cache = _cache(view)
    assert cache.get("C1") is None
    put = cache.put("C1", _row(1), 5.0)
    assert cache.get("C1") is put
    assert (put.row, put.read_at, put.fresh_until) == (_row(1), 5.0, 15.0)
    assert len(cache) == 1


def test_the_least_recently_used_row_makes_room(view: FeatureView) -> None:
    cache = _cache(view)
    for key in ("C1", "C2", "C3"):
        cache.put(key, _row(1), 0.0)
    cache.get("C1")
    cache.put("C4", _row(1), 0.0)
    assert [key for key in ("C1", "C2", "C3", "C4") if cache.get(key)] == ["C1", "C3", "C4"]


def test_a_scan_over_unknown_keys_pushes_no_row_out(view: FeatureView) -> None:
    cache = _cache(view)
    for key in ("C1", "C2", "C3"):
        cache.put(key, _row(1), 0.0)
    for number in range(100):
        cache.put(f"unknown-{number}", None, 0.0)
    assert all(cache.get(key) for key in ("C1", "C2", "C3"))
    assert len(cache) == 3
    assert repr(cache) == "<ViewCache 3/3 rows, 3 known absent>"


def test_where_all_rows_were_used_the_oldest_goes_and_the_new_one_stays(view: FeatureView) -> None:
    cache = _cache(view)
    for key in ("C1", "C2", "C3"):
        cache.put(key, _row(1), 0.0)
        cache.get(key)
    cache.put("C4", _row(1), 0.0)
    assert [key for key in ("C1", "C2", "C3", "C4") if cache.get(key)] == ["C2", "C3", "C4"]


def test_a_row_that_was_read_again_begins_anew(view: FeatureView) -> None:
    cache = _cache(view)
    for key in ("C1", "C2", "C3", "C1", "C4"):
        cache.put(key, _row(1), 0.0)
    assert [key for key in ("C1", "C2", "C3", "C4") if cache.get(key)] == ["C1", "C3", "C4"]


@pytest.mark.parametrize("keys", [["C1"], ["C1", "C2"], ["C2", "C1", "C2"]])
def test_fresh_rows_are_found_for_all_keys_or_for_none(view: FeatureView, keys: list[str]) -> None:
    cache = _cache(view)
    first, second = cache.put("C1", _row(1), 0.0), cache.put("C2", _row(2), 5.0)
    absent = cache.put("unknown", None, 5.0)
    assert cache.fresh(keys, 9.999) == [first if key == "C1" else second for key in keys]
    assert cache.fresh(keys, 10.0) is None  # the TTL of C1 has ended
    assert cache.fresh([*keys, "C3"], 6.0) is None
    assert (cache.fresh([*keys, "unknown"], 6.0) or [])[-1] is absent
    assert cache.fresh([*keys, "unknown"], 10.0) is None


@pytest.mark.parametrize("keys", [["C1"], ["C1", "C2"]])
def test_a_row_found_fresh_has_been_used(view: FeatureView, keys: list[str]) -> None:
    cache = _cache(view)
    for key in ("C1", "C2", "C3"):
        cache.put(key, _row(1), 0.0)
    cache.fresh(keys, 1.0)
    cache.put("C4", _row(1), 0.0)
    assert all(cache.get(key) for key in (*keys, "C4"))
    assert len(cache) == 3


def test_rows_that_come_and_go_are_never_more_than_there_is_room_for(view: FeatureView) -> None:
    cache = _cache(view)
    for number in range(20):
        for key in ("C1", "C2", f"new-{number}"):
            cache.put(key, _row(1), number)
            cache.put(key, None if number % 2 else _row(2), number)
        assert len(cache) <= 3
        assert cache.get(f"new-{number}") is not None
    assert repr(cache) == "<ViewCache 1/3 rows, 3 known absent>"


def test_a_row_that_was_gone_and_is_back_pushes_nobody_out(view: FeatureView) -> None:
    cache = _cache(view, max_rows=50)
    keys = [f"C{number}" for number in range(50)]
    for key in keys:
        cache.put(key, _row(1), 0.0)
    for at, found in ((1.0, None), (2.0, _row(2)), (3.0, None), (4.0, _row(3))):
        for key in keys:
            cache.put(key, found, at)
    assert cache.fresh(keys, 5.0) is not None
    for number in range(50):  # each of the places is given away once
        cache.put(f"new-{number}", _row(1), 6.0)
    assert len(cache) == 50


def test_absence_is_remembered_for_its_own_ttl(view: FeatureView) -> None:
    put = _cache(view).put("C1", None, 7.0)
    assert (put.row, put.read_at, put.fresh_until) == (None, 7.0, 12.0)


def test_a_row_and_its_absence_are_never_remembered_together(view: FeatureView) -> None:
    cache = _cache(view)
    cache.put("C1", _row(1), 1.0)
    cache.put("C1", None, 2.0)
    found = cache.get("C1")
    assert found is not None
    assert found.row is None
    assert len(cache) == 0
    cache.put("C1", _row(3), 3.0)
    found = cache.get("C1")
    assert found is not None
    assert found.row == _row(3)
    assert "0 known absent" in repr(cache)


@pytest.mark.parametrize("later", [_row(2), None])
@pytest.mark.parametrize("earlier", [_row(1), None])
def test_an_older_read_never_overwrites_a_newer_one(
    view: FeatureView, earlier: FeatureRow | None, later: FeatureRow | None
) -> None:
    cache = _cache(view)
    newest = cache.put("C1", later, 2.0)
    assert cache.put("C1", earlier, 1.0) is newest
    assert cache.get("C1") is newest


def test_a_read_that_began_at_the_same_instant_does_overwrite(view: FeatureView) -> None:
    cache = _cache(view)
    cache.put("C1", _row(1), 1.0)
    assert cache.put("C1", _row(2), 1.0).row == _row(2)


def test_jitter_shortens_by_its_share_at_most(view: FeatureView) -> None:
    assert _cache(view, jitter=0.0).put("C1", _row(1), 0.0).fresh_until == 10.0
    assert _cache(view, jitter=0.5).put("C1", _row(1), 0.0).fresh_until == pytest.approx(9.5)
    assert _cache(view, jitter=0.5).put("C1", None, 0.0).fresh_until == pytest.approx(4.75)


def test_the_shipped_jitter_only_shortens_and_spreads(view: FeatureView) -> None:
    cache = ViewCache(view, SecondChance(1000))
    ttls = [cache.put(f"C{number}", _row(1), 0.0).fresh_until for number in range(1000)]
    assert all(10.0 * (1 - JITTER) < ttl <= 10.0 for ttl in ttls)
    assert max(ttls) - min(ttls) > 0.9


@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.none() | st.integers(0, 9), st.integers(0, 20)), max_size=40))
def test_of_all_reads_of_a_key_the_one_that_began_last_is_remembered(
    puts: list[tuple[str, int | None, int]],
) -> None:
    """With room for every key, whatever the order in which the reads end."""
    cache = ViewCache(FeatureView("v", Entity("e", (KeyPart("k"),)), LAYOUT), SecondChance(5), lambda: 0.0)
    expected: dict[str, tuple[int, int | None]] = {}
    for key, number, read_at in puts:
        cache.put(key, None if number is None else _row(number), read_at)
        if key not in expected or expected[key][0] <= read_at:
            expected[key] = (read_at, number)
    for key, (read_at, number) in expected.items():
        found = cache.get(key)
        assert found is not None
        assert (found.read_at, found.row) == (read_at, None if number is None else _row(number))
