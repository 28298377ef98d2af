"""Nothing is imported that the run does not need: what must not be there when a service is ready, and why."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

FORBIDDEN = {
    "google.cloud.aiplatform": "1.3 s and 190 MB; for administrative commands",
    "google.cloud.aiplatform_v1": "for administrative commands",
    "google.api_core": "0.3 s; comes with the administrative client",
    "google.auth": "for buckets, Vertex AI and callers' tokens",
    "grpc": "30 ms and 20 MB; for Vertex AI",
    "httpx": "60 ms; for buckets, and to look views of Vertex AI up",
    "requests": "comes with google.auth's transport and with exporters",
    "opentelemetry.sdk": "0.1 s; for a collector",
    "opentelemetry.exporter": "for a collector",
    "opentelemetry.exporter.otlp.proto.grpc": "for nobody: we push over HTTP",
    "cryptography": "for callers' tokens",
    "pandas": "0.2 s and 30 MB; for training",
    "pyarrow": "60 ms and 33 MB; for files",
    "typer": "50 ms; for the command line",
    "rich": "for the command line",
    "sklearn": "for training",
    "matplotlib": "for training",
    "IPython": "what notebooks need of CatBoost",
}

STARTED = """
import asyncio, json, os, sys
import service.__main__, service.running, service.serving
from service.app import create_app
from service.settings import Platform, Settings
from service.wiring import running_service

async def start():
    async with running_service(Settings(**json.loads(sys.argv[1])), Platform()) as running:
        create_app(running)
        print(*sys.modules, flush=True)
        os._exit(0)  # an end in order would try for a while to reach a collector that is not there

asyncio.run(start())
"""

NOBODY = "127.0.0.1:1"
VERTEX = {"store": "vertex", "vertex_endpoint": NOBODY, "vertex_plaintext": True}  # connected to by the first read
COLLECTOR = {"otlp_endpoint": f"http://{NOBODY}"}
OF_VERTEX = {"grpc", "httpx", "rich"}  # httpx imports rich where it is installed
OF_A_COLLECTOR = {"opentelemetry.sdk", "opentelemetry.exporter", "requests"}


@pytest.mark.parametrize(
    ("chosen", "needed"),
    [
        ({}, set()),
        (VERTEX, OF_VERTEX),
        (COLLECTOR, OF_A_COLLECTOR),
        (VERTEX | COLLECTOR, OF_VERTEX | OF_A_COLLECTOR),
    ],
    ids=["alone", "vertex", "collector", "vertex and collector"],
)
def test_a_service_that_is_ready_has_imported_nothing_that_others_need(
    small_demo: Any, chosen: Mapping[str, Any], needed: set[str]
) -> None:
    settings = {"bundle": str(small_demo.bundle), "sqlite_path": str(small_demo.store), **chosen}
    command = [sys.executable, "-c", STARTED, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    imported = set(done.stdout.split())
    assert {"catboost", "fastapi", "service.serving"} | needed <= imported
    assert {name: why for name, why in FORBIDDEN.items() if name in imported - needed} == {}
