"""Looks at a bundle's views in Vertex AI Feature Store: credentials, existence, and one read of each."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from features.clock import SystemClock
from features.deadline import Deadline
from features.errors import StoreError
from features.planning import Instances, Planner
from features.spec import FeatureView
from features.stores.base import ReadAnswer
from features.stores.vertex import VertexStore, region_of
from features.stores.vertex_admin import Presence, address_of_view, admin_client, look_up_view
from features.stores.vertex_channel import TokenSource
from features.values import EntityKey
from service.bundle import Bundle
from service.errors import StartError
from service.findings import Findings
from service.golden import golden_lines
from service.settings import Settings
from service.stores import tokens_of


async def inspect_vertex(bundle: Bundle, settings: Settings, findings: Findings) -> None:
    """Looks at everything, as far as there are credentials for it."""
    try:
        tokens = tokens_of(settings)
    except StartError as error:
        findings.problem("settings", str(error))
        return
    if tokens is None:
        findings.ok("credentials", "none needed: KEYSCORE_VERTEX_PLAINTEXT is set")
    else:
        try:
            await tokens.warm()
        except StoreError as error:
            findings.problem("credentials", f"{error}; `gcloud auth application-default login` makes some")
            return
        findings.ok("credentials", "found")
    known = {}
    for view in bundle.spec.views:
        looked_up = await _look_up(view, settings, tokens, findings)
        if looked_up is not None:
            known[view] = looked_up
    store = VertexStore(
        known,
        tokens,
        endpoint=settings.vertex_endpoint,
        rest_endpoint=settings.vertex_rest_endpoint,
        mode=settings.vertex_read,
    )
    try:
        await store.open()
        examples = _examples(bundle)
        for view, looked_up in known.items():
            await _read(
                store, view, examples.get(view.name), looked_up, timeout_s=settings.deadline_s, findings=findings
            )
    except StoreError as error:
        findings.problem("store", str(error))
    finally:
        await store.aclose()


@dataclass(frozen=True, slots=True)
class _LookedUp:
    """What the look-up said about a view that may be read."""

    exists: bool
    words: str


async def _look_up(
    view: FeatureView, settings: Settings, tokens: TokenSource | None, findings: Findings
) -> _LookedUp | None:
    """What is known about the view; None, and a problem, if it cannot be read."""
    about = f"view {view.name}"
    try:
        address = address_of_view(
            view.source or "",
            region_of(view),
            endpoint=settings.vertex_endpoint,
            rest_endpoint=settings.vertex_rest_endpoint,
            plaintext=settings.vertex_plaintext,
        )
        if address is None:
            return _LookedUp(exists=False, words="is not looked up, for KEYSCORE_VERTEX_REST_ENDPOINT is not set")
        async with admin_client() as client:
            presence = await look_up_view(client, address, tokens)
    except StoreError as error:
        findings.problem(about, str(error))
        return None
    if presence is Presence.MISSING:
        findings.problem(about, f"{view.source} does not exist; `keyscore view create` makes it")
        return None
    if presence is Presence.UNKNOWN:
        return _LookedUp(exists=False, words=f"could not be looked up at {address}")
    return _LookedUp(exists=True, words="exists")


async def _read(
    store: VertexStore,
    view: FeatureView,
    key: EntityKey | None,
    looked_up: _LookedUp,
    *,
    timeout_s: float,
    findings: Findings,
) -> None:
    about, known = f"view {view.name}", looked_up.words
    if key is None:
        findings.warn(about, f"{known}; no golden line says which entity to read")
        return
    shown = key if isinstance(key, str) else ", ".join(key)
    begun = time.perf_counter()
    answer: ReadAnswer
    try:
        answer = (await store.read(view, [key], Deadline.after(timeout_s, SystemClock()))).get(key)
    except StoreError as error:
        answer = error
    took_ms = 1000 * (time.perf_counter() - begun)
    if isinstance(answer, StoreError):
        findings.problem(about, f"{known}; {shown} cannot be read: {answer}")
    elif answer is None:
        findings.warn(about, f"{known}; holds no row of {shown}, which the golden lines name; has it been synced?")
    else:
        report = findings.ok if looked_up.exists else findings.warn
        columns = len(view.layout.columns)
        report(about, f"{known}; {shown} read in {took_ms:.1f} ms, {columns} column{'' if columns == 1 else 's'}")


def _examples(bundle: Bundle) -> Mapping[str, EntityKey]:
    """A key for each view, from the first golden line."""
    try:
        line = next(golden_lines(bundle.golden or b"", bundle.spec), None)
    except StartError:  # the self-test says so
        line = None
    if line is None:
        return {}
    lookups = Planner(bundle.spec).plan(Instances.of([line.instance]))
    return {lookup.view.name: lookup.keys[0] for lookup in lookups}
