"""Google's own clients, unpatched, read the emulator; each in an interpreter of its own, as its user would run it.

The package is slow to import, warns, and patches nothing that a test of ours should see.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
import pytest

from features.emulator import Emulator
from features.emulator.banner import sdk_snippet
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType

pytestmark = pytest.mark.anyio

_VIEW = "projects/demo/locations/us-central1/featureOnlineStores/demo/featureViews/customer_account"

_MORE_OF_FEATURE_VIEW = """
import json
from google.api_core.exceptions import BadRequest, NotFound  # over REST it is told by HTTP's status alone

def outcome(call):
    try:
        return call()
    except (BadRequest, NotFound) as error:
        return f"{type(error).__name__}: {error.message}"

pair = FeatureView("pair", feature_online_store_id="demo")
print(json.dumps({
    "values": [[f.name, type(f.value).pb(f.value).WhichOneof("value")] for f in
               view.read(key=["C00017"]).to_proto().key_values.features],
    "composite": pair.read(key=["C1", "M1"]).to_dict()["features"][0]["value"]["int64_value"],
    "absent": outcome(lambda: view.read(key=["nobody"])),
    "text": outcome(lambda: view.read("C00017")),
    "no view": outcome(lambda: FeatureView("nowhere", feature_online_store_id="demo")),
    "views": [found.name for found in FeatureView.list(feature_online_store_id="demo")],
    "synced": view.sync().gca_resource.sync_summary.row_synced,
    "syncs": len(view.list_syncs()),
}))
"""

_GAPIC = """
import asyncio, json, sys
import grpc
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1, aiplatform_v1beta1
from google.cloud.aiplatform_v1.services.feature_online_store_service.transports import (
    FeatureOnlineStoreServiceGrpcAsyncIOTransport as TransportV1,
)
from google.cloud.aiplatform_v1beta1.services.feature_online_store_service.transports import (
    FeatureOnlineStoreServiceGrpcAsyncIOTransport as TransportV1Beta1,
)

port, rest_port, view = sys.argv[1:]

async def read():
    found = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for api, transport in ((aiplatform_v1, TransportV1), (aiplatform_v1beta1, TransportV1Beta1)):
            client = api.FeatureOnlineStoreServiceAsyncClient(transport=transport(channel=channel))
            key = api.FeatureViewDataKey(key="C00017")
            response = await client.fetch_feature_values(feature_view=view, data_key=key)
            found[api.__name__] = {f.name: f.value.double_value for f in response.key_values.features}
            try:
                await client.fetch_feature_values(feature_view=view, data_key=api.FeatureViewDataKey(key="nobody"))
            except NotFound as error:
                found["absent"] = error.message
        requests = [aiplatform_v1beta1.StreamingFetchFeatureValuesRequest(
            feature_view=view,
            data_keys=[aiplatform_v1beta1.FeatureViewDataKey(key=key) for key in ("C00017", "C00018", "nobody")],
        )]
        stream = await client.streaming_fetch_feature_values(requests=iter(requests))
        found["stream"], found["errors"] = {}, []
        async for message in stream:
            for data in message.data:
                found["stream"][data.data_key.key] = data.key_values.features[0].value.double_value
            found["errors"] += [[message.status.code, key.key] for key in message.data_keys_with_error]
        Write = aiplatform_v1beta1.FeatureViewDirectWriteRequest
        Entry = Write.DataKeyAndFeatureValues
        value = aiplatform_v1beta1.FeatureValue(double_value=7.5)
        writes = [Write(feature_view=view, data_key_and_feature_values=[Entry(
            data_key={"key": "C00017"}, features=[Entry.Feature(name="balance", value=value)])])]
        async for message in await client.feature_view_direct_write(requests=iter(writes)):
            found["written"] = [entry.data_key.key for entry in message.write_responses]
        response = await client.fetch_feature_values(feature_view=view, data_key={"key": "C00017"})
        found["balance"] = response.key_values.features[0].value.double_value
    return found

def administer():
    admin = aiplatform_v1.FeatureOnlineStoreAdminServiceClient(
        transport="rest",
        client_options={"api_endpoint": f"http://127.0.0.1:{rest_port}"},
        credentials=AnonymousCredentials(),
    )
    parent = "projects/demo/locations/us-central1"
    scaling = aiplatform_v1.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=3)
    bigtable = aiplatform_v1.FeatureOnlineStore.Bigtable(auto_scaling=scaling)
    store = admin.create_feature_online_store(
        parent=parent,
        feature_online_store_id="mine",
        feature_online_store=aiplatform_v1.FeatureOnlineStore(bigtable=bigtable),
    ).result()
    source = aiplatform_v1.FeatureView.BigQuerySource(uri="bq://a.b.c", entity_id_columns=["customer_id"])
    sync_config = aiplatform_v1.FeatureView.SyncConfig(cron="0 * * * *")
    view = admin.create_feature_view(
        parent=store.name,
        feature_view_id="customer_account",
        feature_view=aiplatform_v1.FeatureView(big_query_source=source, sync_config=sync_config),
    ).result()
    sync = admin.sync_feature_view(feature_view=view.name).feature_view_sync
    status = admin.get_feature_view_sync(name=sync)
    return {
        "nodes": admin.get_feature_online_store(name=store.name).bigtable.auto_scaling.max_node_count,
        "cron": admin.get_feature_view(name=view.name).sync_config.cron,
        "rows": status.sync_summary.row_synced,
        "ended": status.run_time.end_time is not None,
        "code": status.final_status.code,
        "syncs": [one.name for one in admin.list_feature_view_syncs(parent=view.name)] == [sync],
        "views": [one.name.rpartition("/")[2] for one in admin.list_feature_views(parent=store.name)],
    }

print(json.dumps({"read": asyncio.run(read()), "administer": administer()}))
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        version("google-cloud-aiplatform")
    except PackageNotFoundError:
        pytest.skip("google-cloud-aiplatform is not installed (the extra `admin`); there is no SDK to try")


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    columns = {"balance": DType.FLOAT, "visits": DType.INT, "city": DType.STRING, "active": DType.BOOL}
    values = {"balance": 1.25, "visits": 3, "city": None, "active": True}
    rows = [StoredRow(key, values, 1_700_000_000.0) for key in ("C00017", "C00018")]
    with SqliteWriter(tmp_path / "store.sqlite") as writer:
        writer.replace_view("customer_account", ("customer_id",), columns, rows)
        pair = StoredRow(("C1", "M1"), {"count": 3}, 1_700_000_000.0)
        writer.replace_view("pair", ("customer_id", "merchant_id"), {"count": DType.INT}, [pair])
    async with Emulator(tmp_path / "store.sqlite") as emulator:
        yield emulator


async def _last_line(program: str, *arguments: object) -> Any:
    """Runs a program of Google's user; returns the JSON of its last line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return orjson.loads(output.splitlines()[-1])


async def test_the_sdks_feature_view_reads_as_the_banner_says(emulator: Emulator) -> None:
    found = await _last_line(sdk_snippet(emulator.rest_port) + _MORE_OF_FEATURE_VIEW)
    assert found["values"] == [
        ["balance", "double_value"], ["visits", "int64_value"], ["city", None], ["active", "bool_value"]
    ]  # fmt: skip
    assert found["composite"] == "3"
    assert found["absent"].endswith("Requested entity was not found.")
    assert found["absent"].startswith("NotFound")
    assert found["text"].startswith("BadRequest"), "six parts of one letter each"
    assert 'FeatureView.read(key=["ID"])' in found["text"]
    assert found["no view"].startswith("NotFound")
    assert found["views"] == ["customer_account", "pair"]
    assert (found["synced"], found["syncs"]) == (2, 1)
    assert emulator.reads.of("customer_account", "C00017") == 2
    assert emulator.reads.of("customer_account", '["C","0","0","0","1","7"]') == 1


async def test_the_gapic_clients_read_write_and_administer(emulator: Emulator) -> None:
    found = await _last_line(_GAPIC, emulator.port, emulator.rest_port, _VIEW)
    read = found["read"]
    row = {"balance": 1.25, "visits": 0.0, "city": 0.0, "active": 0.0}
    assert read["google.cloud.aiplatform_v1"] == read["google.cloud.aiplatform_v1beta1"] == row
    assert read["absent"] == "Requested entity was not found."
    assert read["stream"] == {"C00017": 1.25, "C00018": 1.25}
    assert read["errors"] == [[5, "nobody"]]
    assert (read["written"], read["balance"]) == (["C00017"], 7.5)
    assert (emulator.reads.routing_empty, emulator.reads.routing_wrong) == (2, 0), "the two streaming calls"
    assert emulator.reads.connections == 1
    assert found["administer"] == {
        "nodes": 3,
        "cron": "0 * * * *",
        "rows": 2,
        "ended": True,
        "code": 0,
        "syncs": True,
        "views": ["customer_account", "pair"],
    }
