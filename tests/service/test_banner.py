"""What is printed when the service is ready works as pasted."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.clock import ManualClock
from features.errors import StoreUnavailable
from features.stores.memory import MemoryStore
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType
from service.banner import banner, example_instance
from service.golden import golden_lines
from service.settings import Platform, Settings
from service.wiring import Service, running_service

pytestmark = pytest.mark.anyio


def bodies(text: str) -> list[Any]:
    return [json.loads(shlex.split(line)[-1]) for line in text.splitlines() if "curl" in line]


async def test_the_demos_calls_name_entities_that_the_store_knows(small_demo: Any) -> None:
    settings = Settings(bundle=str(small_demo.bundle), sqlite_path=small_demo.store)
    async with running_service(settings, Platform()) as service:
        text = await banner(service, 8123)
    assert re.search(r"serves card-fraud 1 on http://localhost:8123 \(docs: http://localhost:8123/docs\)", text)
    simple, detailed = bodies(text)
    assert simple == detailed
    assert set(simple["instances"][0]) == {"customer_id", "merchant_id", "amount", "channel"}


async def test_what_is_off_or_elsewhere_is_not_proposed(small_demo: Any) -> None:
    chosen = {"detailed": False, "admin_port": 0, "auth_audience": "a", "auth_certs_url": "http://127.0.0.1:1/certs"}
    settings = Settings(bundle=str(small_demo.bundle), sqlite_path=small_demo.store, **chosen)
    async with running_service(settings, Platform()) as service:
        text = await banner(service, 8123)
    assert len(bodies(text)) == 1
    assert "/predict -H 'Content-Type: application/json' -H \"Authorization: Bearer $TOKEN\"" in text
    assert "docs" not in text


async def test_of_a_model_alone_the_store_gives_a_key(
    train: Callable[..., bytes], write_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    with SqliteWriter(tmp_path / "store.sqlite") as writer:
        writer.replace_view("people", ("id",), {"a": DType.FLOAT}, [StoredRow("it's", {"a": 1.0})])
    settings = Settings(bundle=str(write_bundle(train(("a",)))), sqlite_path=tmp_path / "store.sqlite", view="people")
    async with running_service(settings, Platform()) as service:
        assert bodies(await banner(service, 1)) == [{"instances": ["it's"]}] * 2


@pytest.fixture
def with_golden(shop: Callable[..., Path]) -> Path:
    folder = shop()
    line = {"instance": ["C1", "M1", 12.5], "rows": {}, "now": 0, "scores": []}
    (folder / "golden.jsonl").write_text(json.dumps(line))
    return folder


async def test_where_no_known_entity_is_at_hand_no_call_is_printed(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    async with running_service(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as service:
        assert "curl" not in await banner(service, 1)


async def test_entities_that_cannot_be_read_are_not_proposed(
    shop: Callable[..., Path], with_golden: Path, goods: MemoryStore, clock: ManualClock
) -> None:
    async with running_service(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as service:
        service.bundle = _with_lines(service, (with_golden / "golden.jsonl").read_bytes())
        assert await example_instance(service) == ["C1", "M1", 12.5]
        goods.fail(StoreUnavailable("down"))
        assert await example_instance(service) is None
        goods.spoil("risk", "M1", StoreUnavailable("down"))
        assert await example_instance(service) is None
        goods.remove("risk", "M1")
        assert await example_instance(service) is None
        assert list(golden_lines(service.bundle.golden or b"", service.bundle.spec))


def _with_lines(service: Service, golden: bytes) -> Any:
    bundle = service.bundle
    return type(bundle)(bundle.spec, bundle.scorer, bundle.digest, golden)
