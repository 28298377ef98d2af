"""Whether metrics are pushed, and for how long: as long as a service runs, if it was told where to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from features.clock import Clock
from service.errors import StartError
from service.telemetry.catalogue import Sources
from service.telemetry.push import Exporter, Push


@asynccontextmanager
async def metrics_pushed(
    base_url: str | None, interval_s: float, sources: Sources, clock: Clock
) -> AsyncIterator[None]:
    """Metrics are sent to `base_url` while the context lasts; without one, OpenTelemetry is not even imported.

    Raises:
        StartError: The environment names a provider of credentials that is not installed.
    """
    if base_url is None:
        yield
        return
    push = Push(_exporter(base_url, sources, clock), interval_s, sources.drops)
    push.start()
    try:
        yield
    finally:
        await push.stop(clock)


def _exporter(base_url: str, sources: Sources, clock: Clock) -> Exporter:
    from service.telemetry.otlp import OtlpMetrics  # noqa: PLC0415  # 0.1 s that only those pay who push

    try:
        return OtlpMetrics(base_url, sources, clock)
    except (RuntimeError, ImportError) as error:
        raise StartError(f"metrics cannot be pushed: {error}") from error
