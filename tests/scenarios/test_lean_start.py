"""Nothing is imported that the run does not need: what must not be there when a service is ready, and why."""

import subprocess
import sys
from typing import Any

FORBIDDEN = {
    "google.cloud.aiplatform": "1.3 s and 190 MB; for administrative commands",
    "google.api_core": "0.3 s; comes with the administrative client",
    "google.auth": "for buckets, Vertex AI and callers' tokens",
    "grpc": "30 ms and 20 MB; for Vertex AI",
    "httpx": "60 ms; for buckets",
    "requests": "comes with google.auth's transport and with exporters",
    "opentelemetry.sdk": "0.1 s; for a collector",
    "opentelemetry.exporter": "for a collector",
    "pandas": "0.2 s and 30 MB; for training",
    "pyarrow": "60 ms and 33 MB; for files",
    "typer": "50 ms; for the command line",
    "rich": "for the command line",
    "sklearn": "for training",
    "matplotlib": "for training",
    "IPython": "what notebooks need of CatBoost",
}

STARTED = """
import asyncio, sys
import service.__main__, service.running, service.serving
from service.app import create_app
from service.settings import Platform, Settings
from service.wiring import running_service

async def start():
    async with running_service(Settings(bundle=sys.argv[1], sqlite_path=sys.argv[2]), Platform()) as running:
        create_app(running)
        print(*sys.modules)

asyncio.run(start())
"""


def test_a_service_that_is_ready_has_imported_nothing_that_others_need(small_demo: Any) -> None:
    command = [sys.executable, "-c", STARTED, str(small_demo.bundle), str(small_demo.store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    imported = set(done.stdout.split())
    assert {"catboost", "fastapi", "service.serving"} <= imported
    assert {name: why for name, why in FORBIDDEN.items() if name in imported} == {}
