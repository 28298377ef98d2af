"""The REST side: reads in proto3 JSON, administration, and the emulator's own controls."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.emulator import Emulator

pytestmark = pytest.mark.anyio

Until = Callable[[Callable[[], bool]], Awaitable[None]]
STORE = "projects/p/locations/l/featureOnlineStores/s"
VIEW = f"{STORE}/featureViews/account"


@pytest.fixture
async def emulator(store_path: Path, clock: ManualClock) -> AsyncIterator[Emulator]:
    async with Emulator(store_path, clock=clock) as emulator:
        yield emulator


@pytest.fixture
async def http(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{emulator.rest_port}",
        trust_env=False,
        verify=False,  # noqa: S501  # plain HTTP; reading the certificates would take longer than a test
    ) as http:
        yield http


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize(
    "body",
    [
        {"dataKey": {"key": "C1"}},
        {"data_key": {"key": "C1"}, "data_format": "KEY_VALUE"},
        {"dataKey": {"compositeKey": {"parts": ["C1"]}}, "dataFormat": 1},
        {"data_key": {"composite_key": {"parts": ["C1"]}}, "dataFormat": 0},
    ],
)
async def test_a_read_answers_in_proto3_json(
    emulator: Emulator, http: httpx.AsyncClient, version: str, body: Any
) -> None:
    response = await http.post(f"/{version}/{VIEW}:fetchFeatureValues", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    features = response.json()["keyValues"]["features"]
    time = {"generateTime": "2023-11-14T22:13:21.500Z"}
    assert features[0] == {"name": "balance", "value": {"doubleValue": 1.25, "metadata": time}}
    assert features[1]["value"]["int64Value"] == str(2**53 + 2)
    assert emulator.reads.of("account", "C1") == 1


async def test_a_read_as_struct_and_with_nulls(http: httpx.AsyncClient) -> None:
    body = {"dataKey": {"key": "empty"}, "dataFormat": "PROTO_STRUCT"}
    response = await http.post(f"/v1/{VIEW}:fetchFeatureValues", json=body)
    assert response.json() == {"protoStruct": {"balance": None, "visits": None, "city": None, "active": None}}
    response = await http.post(f"/v1/{VIEW}:fetchFeatureValues", json={"dataKey": {"key": "empty"}})
    assert response.json()["keyValues"]["features"][0] == {"name": "balance", "value": {}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"dataKey": {"key": "nobody"}}', 404, "Requested entity was not found."),
        (b'{"dataKey": {"compositeKey": {"parts": ["C", "1"]}}}', 400, 'FeatureView.read(key=["ID"])'),
        (b"{}", 400, "data key is empty"),
        (b"[]", 400, "must be a JSON object"),
        (b"{", 400, "not JSON"),
        (b'{"dataKeys": {}}', 400, "no FetchFeatureValuesRequest"),
        (b'{"dataKey": {"key": "C1"}, "dataFormat": "XML"}', 400, "Data format -1"),
    ],
)
async def test_errors_have_googles_shape(http: httpx.AsyncClient, body: bytes, status: int, words: str) -> None:
    response = await http.post(f"/v1/{VIEW}:fetchFeatureValues", content=body)
    error = response.json()["error"]
    assert response.status_code == error["code"] == status
    assert error["status"] == {404: "NOT_FOUND", 400: "INVALID_ARGUMENT"}[status]
    assert words in error["message"]


async def test_faults_strike_reads_over_rest(emulator: Emulator, http: httpx.AsyncClient) -> None:
    async def read() -> httpx.Response:
        return await http.post(f"/v1/{VIEW}:fetchFeatureValues", json={"dataKey": {"key": "C1"}})

    emulator.set_faults([{"kind": "error", "code": "RESOURCE_EXHAUSTED"}])
    assert (await read()).status_code == 429
    emulator.set_faults([{"kind": "malformed"}])
    with pytest.raises(ValueError, match=r"codec|Expecting"):
        (await read()).json()
    emulator.set_faults([{"kind": "non_finite"}])
    assert (await read()).json()["keyValues"]["features"][0]["value"]["doubleValue"] == "NaN"
    emulator.set_faults([{"kind": "reset", "times": 1}])
    assert (await read()).status_code == 200
    assert (await http.get("/_emulator/faults")).json()[0]["hits"] == 0, "faults of the wire wait for the gRPC port"


async def test_a_black_hole_lets_go_when_its_client_goes_away_or_the_emulator_ends(
    store_path: Path, http: httpx.AsyncClient, until: Until
) -> None:
    async with Emulator(store_path, faults=[{"kind": "black_hole"}]) as other:
        url = f"http://127.0.0.1:{other.rest_port}/v1/{VIEW}:fetchFeatureValues"
        leaving = asyncio.create_task(http.post(url, json={"dataKey": {"key": "C1"}}))
        await until(lambda: other.reads.of("account", "C1") == 1)
        leaving.cancel()
        waiting = asyncio.create_task(http.post(url, json={"dataKey": {"key": "C1"}}))
        await until(lambda: other.reads.of("account", "C1") == 2)
    assert (await waiting).status_code == 503


async def test_any_store_exists_and_has_bigtable(http: httpx.AsyncClient) -> None:
    store = (await http.get(f"/v1/{STORE}", params={"$alt": "json;enum-encoding=int"})).json()
    assert store["name"] == STORE
    assert store["state"] == "STABLE"
    assert store["bigtable"]["autoScaling"]["minNodeCount"] == 1


async def test_a_view_exists_if_the_file_holds_it(http: httpx.AsyncClient) -> None:
    view = (await http.get(f"/v1/{STORE}/featureViews/pair")).json()
    assert view["name"] == f"{STORE}/featureViews/pair"
    assert view["bigQuerySource"]["entityIdColumns"] == ["customer_id", "merchant_id"]
    assert view["createTime"] == "2023-11-14T22:13:20Z"
    missing = await http.get(f"/v1/{STORE}/featureViews/nowhere")
    assert (missing.status_code, missing.json()["error"]["message"]) == (404, "Requested entity was not found.")
    views = (await http.get(f"/v1/{STORE}/featureViews")).json()["featureViews"]
    assert [view["name"].rpartition("/")[2] for view in views] == ["account", "pair", "single"]


async def test_a_store_is_created_once_by_an_operation_that_is_done(http: httpx.AsyncClient) -> None:
    parent = "/v1/projects/p/locations/l/featureOnlineStores"
    body = {"bigtable": {"autoScaling": {"minNodeCount": 1, "maxNodeCount": 4}}}
    operation = (await http.post(parent, params={"featureOnlineStoreId": "mine"}, json=body)).json()
    assert operation["done"] is True
    assert operation["response"]["@type"] == "type.googleapis.com/google.cloud.aiplatform.v1.FeatureOnlineStore"
    assert (await http.get(f"/v1/{operation['name']}")).json() == operation
    assert (await http.get(f"{parent}/mine")).json()["bigtable"]["autoScaling"]["maxNodeCount"] == 4
    assert [store["name"] for store in (await http.get(parent)).json()["featureOnlineStores"]] == [
        "projects/p/locations/l/featureOnlineStores/mine"
    ]
    again = await http.post(parent, params={"featureOnlineStoreId": "mine"}, json=body)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
    for bad in ("", "My-Store"):
        assert (await http.post(parent, params={"featureOnlineStoreId": bad}, json=body)).status_code == 400


async def test_a_view_is_created_and_synced(http: httpx.AsyncClient) -> None:
    body = {"bigQuerySource": {"uri": "bq://a.b.c", "entityIdColumns": ["id"]}, "syncConfig": {"cron": "0 * * * *"}}
    for name in ("account", "planned"):
        await http.post(f"/v1beta1/{STORE}/featureViews", params={"featureViewId": name}, json=body)
    view = (await http.get(f"/v1beta1/{VIEW}")).json()
    assert view["syncConfig"] == {"cron": "0 * * * *"}
    views = (await http.get(f"/v1/{STORE}/featureViews")).json()["featureViews"]
    assert [view["name"].rpartition("/")[2] for view in views] == ["account", "planned", "pair", "single"]
    for name, rows in (("account", "11"), ("planned", "0")):
        synced = (await http.post(f"/v1/{STORE}/featureViews/{name}:sync", json={})).json()["featureViewSync"]
        sync = (await http.get(f"/v1/{synced}")).json()
        assert sync["syncSummary"]["rowSynced"] == rows
        assert sync["runTime"]["endTime"] == "2023-11-14T22:13:20Z"
        listed = (await http.get(f"/v1/{STORE}/featureViews/{name}/featureViewSyncs")).json()["featureViewSyncs"]
        assert listed == [sync]
    assert (await http.post(f"/v1/{STORE}/featureViews/nowhere:sync")).status_code == 404
    assert (await http.get(f"/v1/{VIEW}/featureViewSyncs/99")).status_code == 404


async def test_what_is_not_there_is_said(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v2/projects")).status_code == 404
    assert (await http.get("/v1/projects/p/locations/l/endpoints")).status_code == 501
    assert (await http.post(f"/v1/{STORE}/featureViews", json=[])).status_code == 400


async def test_faults_are_put_and_got(emulator: Emulator, http: httpx.AsyncClient) -> None:
    rules = [{"kind": "latency", "ms": 5, "share": 0.5}, {"kind": "error", "times": 1}]
    put = await http.put("/_emulator/faults", json=rules)
    assert put.status_code == 200
    assert put.json() == (await http.get("/_emulator/faults")).json()
    assert put.json()[0] == {
        "kind": "latency", "share": 0.5, "seed": 0, "ms": 5, "jitter_ms": 0, "tail_share": 0, "tail_ms": 0, "hits": 0
    }  # fmt: skip
    bad = await http.put("/_emulator/faults", json=[{"kind": "lag"}])
    assert bad.status_code == 400
    assert "rule 1: kind must be one of" in bad.json()["error"]["message"]
    assert len((await http.get("/_emulator/faults")).json()) == 2, "a bad list changes nothing"
    assert "latency" in repr(emulator)


async def test_reads_are_got_and_deleted(http: httpx.AsyncClient) -> None:
    await http.post(f"/v1/{VIEW}:fetchFeatureValues", json={"dataKey": {"key": "C1"}})
    reads = (await http.get("/_emulator/reads")).json()
    assert reads["views"] == {"account": {"C1": 1}}
    assert reads["messages"] == {"FetchFeatureValues": 1}
    assert (await http.delete("/_emulator/reads")).json()["views"] == {}
    assert (await http.get("/_emulator/reads")).json()["messages"] == {}


async def test_the_grpc_port_is_closed_and_opened(emulator: Emulator, http: httpx.AsyncClient, connect: Any) -> None:
    assert (await http.put("/_emulator/serving", json={"up": False})).json() == {"up": False}
    assert not emulator.serving
    assert (await http.put("/_emulator/serving", json={"up": True})).json() == {"up": True}
    client = connect(emulator.port)
    async with client.channel:
        await client.fetch()
    assert (await http.get("/_emulator/serving")).json() == {"up": True}
    assert (await http.put("/_emulator/serving", json={"up": 1})).status_code == 400


async def test_a_rest_port_that_is_taken_leaves_nothing_open(store_path: Path) -> None:
    before = asyncio.all_tasks()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with Emulator(store_path, rest_port=taken.getsockname()[1]):
                pass
    assert asyncio.all_tasks() == before
