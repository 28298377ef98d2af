"""The composition root: settings in, a running service out. Real defaults; tests pass fakes through the parameters."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.assembly import Assembler
from features.checks import store_problems
from features.clock import Clock, SystemClock
from features.errors import SpecError, StoreError
from features.events import Observer
from features.retrieval import Retrieval
from features.stores.base import DescribedStore, OnlineStore
from features.stores.guarded import GuardLimits
from features.turns import Turns
from service.admission import Admission
from service.authentication import Authenticator
from service.authentication_settings import authentication
from service.bundle import Bundle, SingleView, load_bundle, load_transforms
from service.errors import StartError
from service.golden import self_test
from service.limits import FixedLimit, GradientLimit, Limit
from service.parameters import usual_parameters
from service.pipeline import Pipeline
from service.settings import Platform, Settings, bundle_uri, otlp_endpoint
from service.stores import embedded_store, vertex_store
from service.telemetry.catalogue import Sources, stored_features
from service.telemetry.drops import Drops
from service.telemetry.loop_lag import LoopLag
from service.telemetry.prometheus import PrometheusExport
from service.telemetry.pushing import metrics_pushed
from service.telemetry.tally import Tally
from service.turnstile import Turnstile
from service.watching import Watching

if TYPE_CHECKING:
    from service.tracing import Tracing

log = logging.getLogger("keyscore")


@dataclass(slots=True)
class Service:
    """Everything that a running service consists of.

    Attributes:
        settings: How it was set up.
        platform: Where it runs.
        bundle: What it serves.
        pipeline: What answers requests.
        metrics: What has been counted.
        store: Where features come from.
        clock: The time.
        tally: The observer of everything.
        turnstile: Where requests wait to be worked on.
        watching: Who decides which requests are watched.
        authenticator: Knows who may call; None where everybody may.
        ready: Whether requests are welcome.
    """

    settings: Settings
    platform: Platform
    bundle: Bundle
    pipeline: Pipeline
    metrics: PrometheusExport
    store: OnlineStore
    clock: Clock
    tally: Tally
    turnstile: Turnstile
    watching: Watching
    authenticator: Authenticator | None = None
    ready: bool = False

    @property
    def prediction_paths(self) -> frozenset[str]:
        """The paths that answer predictions."""
        alias = self.platform.predict_route
        return frozenset({"/predict", "/predict/detailed", *([alias] if alias else ())})


@asynccontextmanager
async def running_service(
    settings: Settings,
    platform: Platform,
    *,
    store: OnlineStore | None = None,
    clock: Clock | None = None,
    drops: Drops | None = None,
) -> AsyncIterator[Service]:
    """A service that has proved itself and is ready; ends what it began when the context is left.

    Args:
        settings: How to set it up.
        platform: Where it runs.
        store: Where to read features instead of where the settings say.
        clock: The time instead of the machine's.
        drops: Who counts telemetry that was lost.

    Raises:
        StartError: It cannot start; one line for the operator.
    """
    clock = clock or SystemClock()
    tally = Tally()
    turns = Turns(clock)
    async with opened(settings, platform, clock, tally, store=store, turns=turns) as (bundle, opened_store):
        assembler = assembler_of(bundle)
        try:
            retrieval = Retrieval(
                bundle.spec.views,
                opened_store,
                clock,
                tally,
                max_rows=settings.cache_rows,
                read_timeout_s=settings.deadline_s * settings.features_share,
                turns=turns,
            )
        except (OSError, MemoryError) as error:
            raise StartError(f"there is no memory for KEYSCORE_CACHE_ROWS={settings.cache_rows}: set fewer") from error
        admission = admission_of(settings, clock, tally)
        turnstile = Turnstile(asyncio.get_running_loop(), clock, admission.waited)
        pipeline = Pipeline(
            bundle,
            assembler,
            retrieval,
            admission,
            clock=clock,
            observer=tally,
            max_instances=settings.max_instances,
            features_share=settings.features_share,
            turns=turns,
            turnstile=turnstile,
            detailed=settings.detailed,
            parameters=usual_parameters(settings.parameters),
        )
        sources = Sources(
            tally,
            drops or Drops(),
            retrieval.cached_rows,
            lambda: {one.name: (one.in_flight, one.limit) for one in admission.partitions},
            stored_features(bundle.spec),
        )
        lines = self_test(bundle, assembler)
        log.debug("%d golden lines score as recorded", lines)
        endpoint = otlp_endpoint(settings, platform)
        tracing = tracing_to(endpoint, bundle, clock, sources.drops)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(retrieval.aclose)
            stack.enter_context(LoopLag(tally.loop_lag_s.add, clock, asyncio.get_running_loop()))
            authenticator = await stack.enter_async_context(authentication(settings, clock))
            pushed = metrics_pushed(endpoint, settings.metrics_interval_s, sources, clock)
            await stack.enter_async_context(_flushed_together(pushed, tracing))
            service = Service(
                settings=settings,
                platform=platform,
                bundle=bundle,
                pipeline=pipeline,
                metrics=PrometheusExport(sources),
                store=opened_store,
                clock=clock,
                tally=tally,
                turnstile=turnstile,
                watching=Watching(
                    tally, tracing, stage_sampling=settings.stage_sampling, trace_ratio=settings.trace_ratio
                ),
                authenticator=authenticator,
                ready=True,
            )
            try:
                yield service
            finally:
                service.ready = False


@asynccontextmanager
async def opened(
    settings: Settings,
    platform: Platform,
    clock: Clock,
    observer: Observer,
    *,
    store: OnlineStore | None = None,
    turns: Turns | None = None,
    limits: GuardLimits | None = None,
) -> AsyncIterator[tuple[Bundle, OnlineStore]]:
    """The bundle and the open store that the settings name; the store is closed when the context is left.

    Args:
        settings: Which ones.
        platform: Where this runs.
        clock: The time.
        observer: Who learns of attempts at reads.
        store: The store instead of the one that the settings name.
        turns: Where long work waits for its turn.
        limits: How a remote store is guarded; None for what suits requests.

    Raises:
        StartError: The bundle cannot be served, or the store cannot be read; one line for the operator.
    """
    if store is None:
        store = embedded_store(settings)
    try:
        try:
            if store is not None:
                await store.open()
            bundle = await load(settings, platform, store)
            if store is None:
                store = vertex_store(settings, bundle.spec, clock, observer, turns=turns, limits=limits)
                await store.open()
        except StoreError as error:
            raise StartError(str(error)) from error
        yield bundle, store
    finally:
        if store is not None:
            await store.aclose()


def admission_of(settings: Settings, clock: Clock, observer: Observer) -> Admission:
    """What decides who comes in."""

    def limit(ceiling: int) -> Limit:
        return GradientLimit(ceiling, clock.monotonic()) if settings.adaptive_limit else FixedLimit(ceiling)

    return Admission(
        limit(settings.max_in_flight),
        limit(settings.max_large_in_flight),
        deadline_s=settings.deadline_s,
        max_deadline_s=max(settings.deadline_s, settings.max_deadline_s),
        clock=clock,
        observer=observer,
    )


def tracing_to(endpoint: str | None, bundle: Bundle, clock: Clock, drops: Drops) -> "Tracing | None":
    """What sends traces to the collector; None where there is none.

    Raises:
        StartError: The environment names a provider of credentials that is not installed.
    """
    if endpoint is None:
        return None
    from service.tracing import otlp_tracing  # noqa: PLC0415  # 60 ms that a start without a collector need not spend

    attributes = {"keyscore.bundle": bundle.spec.name, "keyscore.bundle.version": bundle.spec.version}
    try:
        return otlp_tracing(endpoint, attributes, clock, drops)
    except (RuntimeError, ImportError) as error:
        raise StartError(f"traces cannot be sent: {error}") from error


@asynccontextmanager
async def _flushed_together(
    pushed: AbstractAsyncContextManager[None], tracing: "Tracing | None"
) -> AsyncIterator[None]:
    """At the end the last metrics and the last spans go out side by side: each has a bound, and they do not add up."""
    flushing: asyncio.Future[None] | None = None
    async with pushed:
        try:
            yield
        finally:
            if tracing is not None:
                flushing = asyncio.ensure_future(tracing.aclose())
    if flushing is not None:
        await flushing


async def load(settings: Settings, platform: Platform, store: OnlineStore | None) -> Bundle:
    """The bundle that the settings name, checked against the store as far as the store can tell.

    Raises:
        StartError: It cannot be served.
    """
    uri = bundle_uri(settings, platform)
    bundle = load_bundle(uri, await single_view(settings, store), load_transforms(settings.transforms))
    problems = await store_problems(bundle.spec, store) if store is not None else []
    if problems:
        raise StartError("; ".join(problems))
    return bundle


async def single_view(settings: Settings, store: OnlineStore | None) -> SingleView | None:
    """The view of a bundle without a serving.yaml; the embedded store knows what its keys are called."""
    if settings.view is None:
        return None
    if isinstance(store, DescribedStore):
        stored = (await store.views()).get(settings.view)
        if stored is not None:
            return SingleView(settings.view, stored.keys)
    return SingleView(settings.view)


def assembler_of(bundle: Bundle) -> Assembler:
    """The assembler for a bundle.

    Raises:
        StartError: A feature is derived from a category.
    """
    try:
        return Assembler(bundle.spec, bundle.scorer.signature.categorical)
    except SpecError as error:
        raise StartError(str(error)) from error
