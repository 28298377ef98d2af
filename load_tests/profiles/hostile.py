"""Hostile: ten thousand requests that schemathesis makes of the published OpenAPI document, valid and invalid.

No 5xx, and no answer that the document does not describe.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from load_tests.bench import Bench
from load_tests.bundles import Served
from load_tests.objectives import at_least, at_most, none_of
from load_tests.processes import LOAD_CORE, ROOT, pinned
from load_tests.profiles.base import Options, Profile, Results, say

CASES: Final = 10_000
PER_OPERATION: Final = 6_000
"""The two prediction routes get as many; the others have no input worth as many."""

PHASES: Final = "examples,coverage,fuzzing,stateful"

_SHORT_PER_OPERATION: Final = 60
_CONFIG: Final = ROOT / "load_tests" / "hostile.toml"


async def run(options: Options) -> Results:
    """One run of schemathesis over the demo."""
    return await run_on("demo", _SHORT_PER_OPERATION if options.short else PER_OPERATION, options)


async def run_on(
    bundle: Literal["demo"] | Served, per_operation: int, options: Options, phases: str = PHASES
) -> Results:
    """The same for any bundle with the demo's keys and fields."""
    settings = {"KEYSCORE_DEADLINE_S": "0.0001"} if options.control else {}
    async with Bench.start(bundle=bundle, store="sqlite", service_env=settings) as bench:
        keys = {"customer_id": bench.asker.customers[:100], "merchant_id": bench.asker.merchants[:100]}
        report, said = await schemathesis(
            f"http://127.0.0.1:{bench.address[1]}/openapi.json",
            per_operation,
            phases,
            options.seed,
            keys,
        )
    cases = report["test_cases"]
    failures = {failure["title"]: failure["count"] for failure in report["failures"]}
    say(said[-3_000:])
    results = Results()
    results.facts |= {
        "cases": f"{cases['generated']:,} over {report['operations']['tested']} operations",
        "failures": str(failures or "none"),
        "schemathesis": f"{report['schemathesis_version']}, {report['running_time']:.0f} s, seed {report['seed']}",
    }
    results.objectives = [
        at_least("cases", cases["generated"], 100 if options.short else CASES),
        none_of("cases with a 5xx or a schema miss", cases["with_failures"], cases["generated"]),
        at_most("errors of the run", len(report["errors"]) + cases["errored"], 0),
        at_least(
            "share of operations tested", report["operations"]["tested"] / max(report["operations"]["total"], 1), 1
        ),
    ]
    return results


async def schemathesis(
    url: str, per_operation: int, phases: str, seed: int, keys: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """The JSON report of a run, and what it said.

    Args:
        url: Of the OpenAPI document.
        per_operation: Most cases per operation and phase.
        phases: As schemathesis calls them, separated by commas.
        seed: The same seed makes the same cases.
        keys: Key names to keys that exist.

    Raises:
        RuntimeError: It could not run.
    """
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        path = Path(folder) / "report.json"
        command = (
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run", url),
            *("--max-examples", str(per_operation), "--seed", str(seed), "--mode", "all", "--continue-on-failure"),
            *("--phases", phases),
            *("--generation-database", "none", "--suppress-health-check", "all", "--no-color", "--warnings", "off"),
            *("--report-json-path", str(path)),
        )
        with pinned(LOAD_CORE):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "HOSTILE_KEYS": json.dumps(keys)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if not path.is_file():
            raise RuntimeError(f"schemathesis failed:\n{said.decode(errors='replace')[-3_000:]}")
        report: dict[str, Any] = json.loads(path.read_bytes())
    return report, _shortened(said.decode(errors="replace"))


def _shortened(said: str) -> str:
    """Without the kilobytes of a request that schemathesis shows to be pasted."""
    return "\n".join(line[:400] for line in said.splitlines())


PROFILE: Final = Profile(
    name="hostile",
    summary="schemathesis over the published OpenAPI document, 10,000 cases: no 5xx, no schema miss",
    control="KEYSCORE_DEADLINE_S=0.0001: no request can be answered in time",
    run=run,
    timed=False,
)
