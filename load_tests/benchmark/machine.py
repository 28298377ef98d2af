"""On what a run was made: what a figure means nothing without."""

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from load_tests.processes import LOAD_CORE, ROOT, SERVICE_CORE

_PACKAGES: Final = (
    *("keyscore", "catboost", "numpy", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools"),
    *("grpcio", "opentelemetry-sdk", "google-cloud-aiplatform"),
)


def describe() -> dict[str, str]:
    """Date, revision, processor and versions, by what to call them."""
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "revision": _revision(),
        "processor": _processor(),
        "cores": f"service on {SERVICE_CORE}, everything else on {LOAD_CORE}, of {os.cpu_count()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return {name: text for name, text in found.items() if text}


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _revision() -> str:
    """The revision of what is measured, with a + if something was changed since; nothing outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""

    def said(*arguments: str) -> str:
        done = subprocess.run([git, *arguments], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603  # fixed words
        return done.stdout.strip() if done.returncode == 0 else ""

    revision = said("rev-parse", "--short", "HEAD")
    return f"{revision}+" if revision and said("status", "--porcelain") else revision
