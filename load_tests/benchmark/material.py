"""What is served: the plain bundle, the demo with as many customers, and a bundle of 50 floats. Made when asked for."""

import re
import shutil
from functools import cached_property
from pathlib import Path
from typing import Final

from load_tests import bundles
from load_tests.benchmark.effort import Effort
from load_tests.bundles import LOAD_FOLDER, Say, Served
from load_tests.stored_rows import multiplied, read_rows

TTL: Final = "60s"
WIDE_FEATURES: Final = 50

_CUSTOMERS: Final = ("customer_account", "customer_activity")
_DEMO_TTL: Final = re.compile(r"\{ttl: \w+")


class Material:
    """Bundles with their rows.

    Args:
        effort: How many entities they have.
        scratch: An empty folder for what is not kept.
        say: Told in one line about each long step.
        folder: Where the plain bundles are kept from run to run.
        demo: The demo, where it is not `make demo`'s.
    """

    def __init__(
        self, effort: Effort, scratch: Path, say: Say, *, folder: Path = LOAD_FOLDER, demo: Served | None = None
    ) -> None:
        self._effort = effort
        self._scratch = scratch
        self._say = say
        self._folder = folder
        self._demo = demo

    @cached_property
    def plain(self) -> Served:
        """The plain bundle: the warm entities, then the cold ones."""
        entities = self._effort.warm + self._effort.cold
        return bundles.plain(entities, self._say, ttl=TTL, folder=self._folder, trees=self._effort.trees)

    @cached_property
    def wide(self) -> Served:
        """A bundle of 50 floats."""
        return bundles.plain(
            self._effort.cached[1],
            self._say,
            ttl=TTL,
            folder=self._folder,
            trees=self._effort.trees,
            features=WIDE_FEATURES,
        )

    @cached_property
    def original(self) -> Served:
        """The demo as `make demo` builds it."""
        return self._demo or bundles.demo(self._say)

    @cached_property
    def demo(self) -> Served:
        """The demo's bundle with the TTL of the plain one, and its customers several times over under other IDs."""
        original = self.original
        bundle, store = self._scratch / "demo", self._scratch / "demo.sqlite"
        shutil.copytree(original.bundle, bundle)
        serving = bundle / "serving.yaml"
        text = _DEMO_TTL.sub(f"{{ttl: {TTL}", serving.read_text(encoding="utf-8"))
        serving.write_text(text, encoding="utf-8")
        times = -(-self._effort.warm // len(read_rows(original.store, _CUSTOMERS[-1])))
        multiplied(original.store, store, dict.fromkeys(_CUSTOMERS, times))
        return Served(bundle, store)
