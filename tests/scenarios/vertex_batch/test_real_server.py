"""A job against a process that was started as Vertex AI starts it, over real sockets."""

import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

ROUTE = "/v1/endpoints/7/deployedModels/8:predict"
PARAMETERS = {"response": "detailed", "on_error": "null"}


async def test_a_job_is_answered_by_a_process_that_vertex_has_started(
    process: Callable[..., "subprocess.Popen[str]"],
    small_demo: Any,
    demo_instances: Sequence[dict[str, Any]],
    vertex: Any,
    forms: Any,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    begun = process(
        AIP_MODE="PREDICTION",
        AIP_HTTP_PORT=str(port),
        AIP_PREDICT_ROUTE=ROUTE,
        AIP_HEALTH_ROUTE="/v1/endpoints/7/deployedModels/8",
        AIP_STORAGE_URI=str(small_demo.bundle),
        KEYSCORE_SQLITE_PATH=str(small_demo.store),
        KEYSCORE_PARAMETERS='{"on_error": "null"}',
    )
    assert begun.stdout is not None
    assert json.loads(begun.stdout.readline())["port"] == port
    rows = [*demo_instances[:149], {**demo_instances[149], "amount": -1.0}]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

        async def post(body: Any) -> httpx.Response:
            return await client.post(ROUTE, json=body)

        in_detail = await vertex.run(post, "tf-record", vertex.records(map(forms["example"], rows)), PARAMETERS)
        simple = await vertex.run(post, "jsonl", vertex.jsonl(rows))
    assert in_detail.errors == simple.errors == []
    assert [len(body["instances"]) for body in in_detail.bodies] == [64, 64, 22]
    told = {tuple(one["entity_id"].values()): one.get("scores") for one in in_detail.predictions}
    assert [told[row["customer_id"], row["merchant_id"]] for row in rows] == simple.predictions
    assert simple.predictions.index(None) == 149
