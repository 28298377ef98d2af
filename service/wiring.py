"""The composition root: settings in, a running service out. Real defaults; tests pass fakes through the parameters."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from features.assembly import Assembler
from features.clock import Clock, SystemClock
from features.errors import SpecError, StoreError
from features.events import Observer
from features.retrieval import Retrieval
from features.stores.base import DescribedStore, OnlineStore
from service.admission import Admission
from service.bundle import Bundle, SingleView, load_bundle, load_transforms
from service.checks import store_problems
from service.errors import StartError
from service.golden import self_test
from service.limits import FixedLimit, GradientLimit, Limit
from service.pipeline import Pipeline
from service.settings import Platform, Settings, bundle_uri, otlp_endpoint
from service.stores import embedded_store, vertex_store
from service.telemetry.catalogue import Sources, stored_features
from service.telemetry.drops import Drops
from service.telemetry.loop_lag import LoopLag
from service.telemetry.prometheus import PrometheusExport
from service.telemetry.pushing import metrics_pushed
from service.telemetry.tally import Tally

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
        drops: What telemetry itself had to leave out.
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
    drops: Drops
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
) -> AsyncIterator[Service]:
    """A service that has proved itself and is ready; ends what it began when the context is left.

    Args:
        settings: How to set it up.
        platform: Where it runs.
        store: Where to read features instead of where the settings say.
        clock: The time instead of the machine's.

    Raises:
        StartError: It cannot start; one line for the operator.
    """
    clock = clock or SystemClock()
    tally = Tally()
    if store is None:
        store = embedded_store(settings)
    try:
        if store is not None:
            await store.open()
        bundle = await load(settings, platform, store)
        if store is None:
            store = vertex_store(settings, bundle.spec, clock, tally)
            await store.open()
        assembler = assembler_of(bundle)
        retrieval = Retrieval(
            bundle.spec.views,
            store,
            clock,
            tally,
            max_rows=settings.cache_rows,
            read_timeout_s=settings.deadline_s * settings.features_share,
        )
        admission = admission_of(settings, clock, tally)
        pipeline = Pipeline(
            bundle,
            assembler,
            retrieval,
            admission,
            clock=clock,
            observer=tally,
            max_instances=settings.max_instances,
            features_share=settings.features_share,
        )
        sources = Sources(
            tally,
            Drops(),
            retrieval.cached_rows,
            lambda: {one.name: (one.in_flight, one.limit) for one in admission.partitions},
            stored_features(bundle.spec),
        )
        lines = self_test(bundle, assembler)
        log.info("%d golden lines score as recorded", lines)
        metrics = PrometheusExport(sources)
        service = Service(settings, platform, bundle, pipeline, metrics, store, clock, tally, sources.drops, ready=True)
        pushed = metrics_pushed(otlp_endpoint(settings, platform), settings.metrics_interval_s, sources, clock)
        try:
            with LoopLag(tally.loop_lag_s.add, clock, asyncio.get_running_loop()):
                async with pushed:
                    try:
                        yield service
                    finally:
                        service.ready = False
        finally:
            await retrieval.aclose()
    except StoreError as error:
        raise StartError(str(error)) from error
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
