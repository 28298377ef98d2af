"""Looks at everything that a start needs, one thing after the other, and says of each whether it is well.

    settings ──► authentication ──► store ──► bundle ──► views ──► golden lines ──► an example

A start stops at the first problem; this goes on wherever the next thing can be looked at without the one before, so
that an operator learns of all problems at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import orjson
from pydantic import ValidationError

from features.checks import view_problems
from features.documents import nearest
from features.errors import FeaturesError, StoreError
from features.spec import FeatureView
from features.stores.base import DescribedStore, StoredView
from features.stores.sqlite import SqliteStore
from service.authentication_inspection import inspect_authentication
from service.banner import example_instance, shown_instance
from service.bundle import Bundle, SingleView, load_bundle, load_transforms
from service.errors import RequestError, StartError
from service.findings import Finding, Findings
from service.golden import self_test
from service.problems import problem_for
from service.settings import (
    Platform,
    Settings,
    bundle_uri,
    setting_problems,
    settings_from_flags,
    unknown_variables,
    variables,
)
from service.wiring import assembler_of, running_service, single_view


async def inspect(arguments: Sequence[str], environ: Mapping[str, str], report: Callable[[Finding], None]) -> bool:
    """Looks at everything; returns whether a service would start and answer.

    Args:
        arguments: Flags, as `python -m service` takes them.
        environ: The process's environment.
        report: Told of each finding when it is made.

    Raises:
        SystemExit: A flag is not known.
    """
    findings = Findings(report)
    await _Inspection(findings).run(arguments, environ)
    return findings.well


class _Inspection:
    __slots__ = ("_findings",)

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def run(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        settings, platform = self._settings(arguments, environ)
        await inspect_authentication(settings, self._findings)
        if settings.store == "sqlite":
            bundle = await self._embedded(settings, platform)
        else:
            bundle = await self._bundle(settings, platform, None)
            if bundle is not None:
                from service.vertex_inspection import inspect_vertex  # noqa: PLC0415  # brings grpc along

                await inspect_vertex(bundle, settings, self._findings)
        if bundle is not None:
            self._golden(bundle)
        if self._findings.well:
            await self._example(settings, platform)

    async def _embedded(self, settings: Settings, platform: Platform) -> Bundle | None:
        store = SqliteStore(settings.sqlite_path)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(store.aclose)
            stored, counts = await self._store(store, settings)
            bundle = await self._bundle(settings, platform, store if stored is not None else None)
            if bundle is not None and stored is not None:
                for view in bundle.spec.views:
                    self._view(view, stored, counts)
            return bundle

    def _settings(self, arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[Settings, Platform]:
        """The settings; one that is not valid counts as not set, so that the others can be looked at."""
        problems: dict[str, str] = {}
        fallback: dict[str, Any] = {}
        while True:
            try:
                settings = settings_from_flags(arguments, program="keyscore check", fallback=fallback)
                break
            except ValidationError as error:
                problems |= setting_problems(error)
                shipped = {name: Settings.model_fields[name].default for name in problems}
                if fallback == shipped:  # a flag is at fault
                    arguments = _without(arguments, problems)
                fallback = shipped
        for problem in problems.values():
            self._findings.problem("settings", problem)
        platform = Platform()
        try:
            platform = Platform.of(environ)
        except StartError as error:
            self._findings.problem("settings", str(error))
        if self._findings.well:
            self._findings.ok("settings", "valid")
        for name in unknown_variables(environ):
            self._findings.warn("settings", f"{name} is set but is no setting{nearest(name, variables())}")
        return settings, platform

    async def _store(
        self, store: SqliteStore, settings: Settings
    ) -> tuple[Mapping[str, StoredView] | None, Mapping[str, int]]:
        try:
            await store.open()
            views, counts = await store.views(), await store.row_counts()
        except StoreError as error:
            self._findings.problem("store", str(error))
            return None, {}
        self._findings.ok("store", f"{settings.sqlite_path} holds {_counted(len(views), 'view')}")
        return views, counts

    async def _bundle(self, settings: Settings, platform: Platform, store: SqliteStore | None) -> Bundle | None:
        try:
            uri = bundle_uri(settings, platform)
            single = SingleView(settings.view) if settings.view else None
            if isinstance(store, DescribedStore):
                single = await single_view(settings, store)
            bundle = load_bundle(uri, single, load_transforms(settings.transforms))
            assembler_of(bundle)
        except (StartError, StoreError) as error:
            self._findings.problem("bundle", str(error))
            return None
        spec = bundle.spec
        what = f"{_counted(len(spec.features), 'feature')} from {_counted(len(spec.views), 'view')}"
        self._findings.ok("bundle", f"{uri} is {spec.name} {spec.version}: {what}, model {bundle.digest[:_DIGEST]}…")
        return bundle

    def _view(self, view: FeatureView, stored: Mapping[str, StoredView], counts: Mapping[str, int]) -> None:
        about = f"view {view.name}"
        problems = list(view_problems(view, stored))
        for problem in problems:
            self._findings.problem(about, problem)
        rows = counts.get(view.name, 0)
        if not problems and rows:
            self._findings.ok(about, f"{_counted(rows, 'row')}, {_counted(len(view.layout.columns), 'column')} read")
        elif not problems:
            keys = " ".join(f"--key {part.name}" for part in view.entity.keys)
            self._findings.problem(about, f"holds no rows; fill it with `keyscore load {view.name} FILE {keys}`")

    def _golden(self, bundle: Bundle) -> None:
        try:
            lines = self_test(bundle, assembler_of(bundle))
        except StartError as error:
            self._findings.problem("golden lines", str(error))
            return
        if lines:
            self._findings.ok("golden lines", f"{_counted(lines, 'line')} score as recorded")
        else:
            self._findings.warn(
                "golden lines", "none in the bundle, so nothing proves that this build scores as training did"
            )

    async def _example(self, settings: Settings, platform: Platform) -> None:
        try:
            async with running_service(settings, platform) as service:
                sent = await example_instance(service)
                if sent is None:
                    self._findings.warn("example", "no entity at hand to try; try one of yours with `keyscore predict`")
                    return
                shown = orjson.dumps(shown_instance(service.bundle.spec, sent)).decode()
                begun = time.perf_counter()
                with service.pipeline.admission.admit() as permit:
                    style = {"response": "simple", "on_error": "fail"}  # whatever the deployment's own parameters say
                    body = orjson.dumps({"instances": [sent], "parameters": style})
                    answer = await service.pipeline.answer(body, permit, detailed=False)
                took_ms = 1000 * (time.perf_counter() - begun)
        except StartError as error:
            self._findings.problem("example", str(error))
        except (RequestError, FeaturesError) as error:
            self._findings.problem("example", f"{shown} is not answered: {problem_for(error).detail}")
        else:
            scores = orjson.loads(answer.body)["predictions"][0]
            rounded = ", ".join(f"{score:.4g}" for score in scores)
            self._findings.ok("example", f"{shown} scores [{rounded}] in {took_ms:.1f} ms")


def _without(arguments: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The flags without those of these settings."""
    flags = {f"--{name.replace('_', '-')}" for name in names}
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, joined, _ = argument.partition("=")
        if flag not in flags:
            kept.append(argument)
        elif not joined:
            next(rest, None)
    return kept


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


_DIGEST: Final = len("sha256:") + 12
