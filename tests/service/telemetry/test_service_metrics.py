"""What a whole service counts of whole requests."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.clock import ManualClock, SystemClock
from features.stores.memory import MemoryStore
from service.errors import StartError
from service.events import Stage
from service.settings import Platform, Settings, otlp_endpoint
from service.wiring import Service, running_service

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unset_otel")]

Serve = Callable[..., Awaitable[httpx.AsyncClient]]

_C1 = {"customer_id": "C1", "merchant_id": "M1", "amount": 12.5}
_C9 = {"customer_id": "C9", "merchant_id": "M1", "amount": 12.5}


async def _samples(client: httpx.AsyncClient, family_name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
    text = (await client.get("/metrics")).text
    return {
        tuple(sample.labels[name] for name in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == family_name
    }


async def test_every_value_is_counted_by_what_the_store_said(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    """account gives two features, activity and risk one each; of C9 nothing is known, which is a 404 here."""
    client = await serve(shop(), goods)
    for instances in ([_C1], [_C1, _C1], [_C9]):
        await client.post("/predict", json={"instances": instances})
    values = await _samples(client, "keyscore_values_total", "view", "status")
    assert {labels: count for labels, count in values.items() if count} == {
        ("account", "PRESENT"): 6,
        ("account", "NOT_FOUND"): 2,
        ("activity", "PRESENT"): 3,
        ("activity", "NOT_FOUND"): 1,
        ("risk", "PRESENT"): 4,
    }
    assert len(values) == 3 * 5


async def test_scores_are_the_probabilities_that_were_answered(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(), goods)
    answers = [await client.post("/predict", json={"instances": [_C1] * number}) for number in (1, 40)]
    answered = [scores[-1] for answer in answers for scores in answer.json()["predictions"]]
    assert (await _samples(client, "keyscore_prediction_score_count"))[()] == 41
    assert (await _samples(client, "keyscore_prediction_score_sum"))[()] == pytest.approx(sum(answered))
    assert (await _samples(client, "keyscore_scored_rows_count"))[()] == 2


async def test_at_rest_nothing_is_in_flight_and_the_limit_is_the_setting(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(), goods, max_in_flight=7)
    assert (await _samples(client, "keyscore_requests_in_flight", "partition"))["interactive",] == 0
    assert (await _samples(client, "keyscore_requests_limit", "partition"))["interactive",] == 7


class Watching:
    """A watch that looks away."""

    def stage_ended(self, stage: Stage, began: float, ended: float) -> None:
        """Takes no note."""


@pytest.fixture
async def service(shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock) -> Any:
    async with running_service(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as running:
        yield running


_BODY = b'{"instances": [["C1", "M1", 12.5], ["C2", "M1", 1.0]]}'


async def test_ages_are_those_of_watched_requests_only(service: Service) -> None:
    """All rows were written 100 s ago; C1 and C2 are two rows of two views, M1 is used twice."""
    for watch in (None, Watching()):
        with service.pipeline.admission.admit() as permit:
            permit.watch = watch
            await service.pipeline.answer(_BODY, permit, detailed=False)
        if watch is None:
            assert not service.tally.age_s
    ages = {view: (sum(one.counts), one.total) for view, one in service.tally.age_s.items()}
    assert ages == {"account": (2, 200.0), "activity": (2, 200.0), "risk": (2, 200.0)}


async def test_a_long_watched_request_has_the_ages_of_its_first_rows(service: Service) -> None:
    body = b'{"instances": [' + b",".join([b'["C1", "M1", 1]'] * 100) + b"]}"
    with service.pipeline.admission.admit() as permit:
        permit.watch = Watching()
        await service.pipeline.answer(body, permit, detailed=False)
    assert sum(service.tally.age_s["account"].counts) == 32


@pytest.mark.parametrize("by", ["setting", "platform"])
async def test_a_service_with_an_endpoint_pushes_when_it_ends(
    collector: Any, shop: Callable[..., Path], goods: MemoryStore, by: str
) -> None:
    settings = Settings(bundle=str(shop()), otlp_endpoint=collector.url if by == "setting" else None)
    platform = Platform(otlp_endpoint=collector.url)
    async with running_service(settings, platform, store=goods, clock=SystemClock()) as running:
        assert running.ready
    assert collector.posts.get(timeout=60)[0] == "/v1/metrics"


def test_the_setting_goes_before_the_platform() -> None:
    platform = Platform.of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    assert otlp_endpoint(Settings(otlp_endpoint="https://mine"), platform) == "https://mine"
    assert otlp_endpoint(Settings(), platform) == "http://collector:4318"
    assert otlp_endpoint(Settings(), Platform.of({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})) is None


def test_an_endpoint_that_is_no_url_is_refused_at_the_start() -> None:
    with pytest.raises(StartError, match="must begin with http"):
        otlp_endpoint(Settings(otlp_endpoint="collector:4317"), Platform())
