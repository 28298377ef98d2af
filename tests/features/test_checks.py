"""What the store does not hold is said at start, in words that say what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from features.checks import store_problems
from features.spec import Spec
from features.stores.memory import MemoryStore
from features.stores.sqlite import SqliteStore
from features.stores.sqlite_writer import SqliteWriter
from features.values import DType
from service.bundle import load_bundle

pytestmark = pytest.mark.anyio

ACCOUNT = {"balance": DType.FLOAT, "city": DType.STRING}
VIEWS = {
    "account": (("customer_id",), ACCOUNT),
    "activity": (("customer_id",), {"visits": DType.INT}),
    "risk": (("merchant_id",), {"rate": DType.FLOAT}),
}


@pytest.fixture
def spec(shop: Callable[..., Path]) -> Spec:
    return load_bundle(str(shop())).spec


async def problems(spec: Spec, path: Path, **views: tuple[tuple[str, ...], dict[str, DType]]) -> list[str]:
    with SqliteWriter(path / "store.sqlite") as writer:
        for name, (keys, columns) in (VIEWS | views).items():
            writer.replace_view(name, keys, columns, [])
    store = SqliteStore(path / "store.sqlite")
    try:
        return await store_problems(spec, store)
    finally:
        await store.aclose()


async def test_a_store_that_holds_it_all_has_no_problems(spec: Spec, tmp_path: Path) -> None:
    more = {**ACCOUNT, "extra": DType.STRING}
    assert await problems(spec, tmp_path, account=(("customer_id",), more)) == []


async def test_what_can_be_widened_is_no_problem(spec: Spec, tmp_path: Path) -> None:
    widened = {"balance": DType.INT, "city": DType.INT}
    assert await problems(spec, tmp_path, account=(("id",), widened)) == []


@pytest.mark.parametrize(
    ("keys", "columns", "said"),
    [
        (("a", "b"), ACCOUNT, "is stored under a, b, the spec reads it by customer_id"),
        (("id",), {"balance": DType.FLOAT}, "stored without the column 'city'"),
        (("id",), ACCOUNT | {"city": DType.FLOAT}, "'city' of view 'account' is stored as float, the spec reads it as"),
        (("id",), ACCOUNT | {"balance": DType.STRING}, "load it again with `--dtype balance=float`"),
    ],
)
async def test_what_does_not_fit_is_said(
    spec: Spec, tmp_path: Path, keys: tuple[str, ...], columns: dict[str, DType], said: str
) -> None:
    (found,) = await problems(spec, tmp_path, account=(keys, columns))
    assert said in found


async def test_a_view_that_is_not_there_says_how_to_fill_it(spec: Spec, tmp_path: Path) -> None:
    with SqliteWriter(tmp_path / "store.sqlite") as writer:
        writer.replace_view("account", ("customer_id",), ACCOUNT, [])
    store = SqliteStore(tmp_path / "store.sqlite")
    found = await store_problems(spec, store)
    await store.aclose()
    assert "no view 'risk'; fill it with `keyscore load risk FILE --key merchant_id`" in found[1]


async def test_a_store_that_does_not_tell_is_not_asked(spec: Spec) -> None:
    assert await store_problems(spec, MemoryStore()) == []
