"""Settings in, a running service out; what is wrong at start is one error, and the store is closed whatever happens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import StoreUnavailable
from features.stores.memory import MemoryStore
from service.errors import StartError
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio


class Door(MemoryStore):
    """A store that may not open, and that knows whether it was closed."""

    __slots__ = ("closed", "trouble")

    def __init__(self, trouble: Exception | None = None) -> None:
        super().__init__()
        self.trouble = trouble
        self.closed = False

    def __len__(self) -> int:
        """It holds nothing, and is a store all the same."""
        return 0

    async def open(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def aclose(self) -> None:
        self.closed = True


async def test_a_service_is_ready_while_its_context_lasts(shop: Callable[..., Path]) -> None:
    store = Door()
    async with running_service(Settings(bundle=str(shop())), Platform(), store=store) as service:
        assert service.ready
        assert service.store is store
    assert not service.ready
    assert store.closed


async def test_a_store_that_does_not_open_is_a_start_error(shop: Callable[..., Path]) -> None:
    store = Door(StoreUnavailable("the store is out of reach"))
    with pytest.raises(StartError, match="the store is out of reach"):
        async with running_service(Settings(bundle=str(shop())), Platform(), store=store):
            raise AssertionError("it must not start")
    assert store.closed


async def test_more_rows_than_the_machine_can_promise_are_a_start_error(shop: Callable[..., Path]) -> None:
    store = Door()
    settings = Settings(bundle=str(shop())).model_copy(update={"cache_rows": 10**14})  # no setting allows that
    with pytest.raises(StartError, match="there is no memory for KEYSCORE_CACHE_ROWS=100000000000000: set fewer"):
        async with running_service(settings, Platform(), store=store):
            raise AssertionError("it must not start")
    assert store.closed


async def test_a_bundle_that_cannot_be_loaded_closes_the_store_too(tmp_path: Path) -> None:
    store = Door()
    with pytest.raises(StartError, match="does not exist"):
        async with running_service(Settings(bundle=str(tmp_path / "no")), Platform(), store=store):
            raise AssertionError("it must not start")
    assert store.closed


async def test_a_store_without_the_specs_views_is_a_start_error(shop: Callable[..., Path], small_demo: Any) -> None:
    settings = Settings(bundle=str(shop()), sqlite_path=small_demo.store)
    with pytest.raises(StartError, match=r"no view 'account'; fill it .*; the store has no view 'activity'"):
        async with running_service(settings, Platform()):
            raise AssertionError("it must not start")


async def test_a_model_alone_whose_view_the_store_does_not_hold_is_a_start_error(
    train: Callable[..., bytes], write_bundle: Callable[..., Path], small_demo: Any
) -> None:
    settings = Settings(bundle=str(write_bundle(train(("a",)))), sqlite_path=small_demo.store, view="people")
    with pytest.raises(StartError, match=r"no view 'people'; fill it with `keyscore load people FILE --key entity_id`"):
        async with running_service(settings, Platform()):
            raise AssertionError("it must not start")


async def test_a_feature_derived_from_what_the_model_takes_as_a_category_is_a_start_error(
    train: Callable[..., bytes], write_bundle: Callable[..., Path]
) -> None:
    serving = """
name: x
version: "1"
entities: {customer: {keys: [{name: id}]}}
views: {people: {entity: customer}}
features:
  - {name: kind, from: people.kind, dtype: int}
  - {name: size, derive: {abs: [kind]}}
"""
    bundle = write_bundle(train(("kind", "size"), ("kind",)), serving)
    with pytest.raises(StartError, match="feature size: 'kind' is categorical in the model, not a number"):
        async with running_service(Settings(bundle=str(bundle)), Platform(), store=Door()):
            raise AssertionError("it must not start")
