"""What to paste first: printed when the service is ready on somebody's own machine."""

import shlex
from typing import Any

import orjson

from features.deadline import Deadline
from features.errors import StoreError
from features.planning import Instance, Instances, Planner
from features.spec import Spec
from features.stores.base import DescribedStore
from service.golden import golden_lines
from service.wiring import Service

_LOOK_AT = 20  # golden lines that are tried before giving up
_HIDDEN = "…"


async def banner(service: Service, port: int) -> str:
    """Lines for a terminal: where the service is, and curl calls that work as pasted."""
    url = f"http://localhost:{port}"
    name, version = service.bundle.spec.name, service.bundle.spec.version
    docs = f" (docs: {url}/docs)" if service.settings.admin_port is None else ""
    lines = [f"Keyscore serves {name} {version} on {url}{docs}. Stop with Ctrl-C."]
    sent = await example_instance(service)
    if sent is not None and not service.bundle.spec.sensitive_fields:  # a recorded value of these is not for terminals
        body = shlex.quote(orjson.dumps({"instances": [sent]}).decode())
        header = "-H 'Content-Type: application/json'"
        if service.authenticator is not None:
            header += ' -H "Authorization: Bearer $TOKEN"'
        lines += ["", "Scores:", f"  curl -s {url}/predict {header} -d {body}"]
        if service.settings.detailed:
            lines += ["The whole story:", f"  curl -s {url}/predict/detailed {header} -d {body}"]
    return "\n".join([*lines, "", ""])


async def example_instance(service: Service) -> Any:
    """An instance whose entities the store knows, as a caller would send it; None if none is at hand."""
    spec = service.bundle.spec
    lines = golden_lines(service.bundle.golden or b"", spec)
    try:
        for line, _ in zip(lines, range(_LOOK_AT), strict=False):
            if await _known(service, line.instance):
                return line.sent
    except StoreError:  # it would not answer the other lines either
        return None
    if isinstance(service.store, DescribedStore) and len(spec.keys) == 1 and not spec.fields:
        return await service.store.example_key(spec.views[0].name)
    return None


def shown_instance(spec: Spec, sent: Any) -> Any:
    """An instance as a text may hold it: without the values of sensitive request fields."""
    if not spec.sensitive_fields:
        return sent
    if isinstance(sent, list):
        named = zip(spec.input_names, sent, strict=True)
        return [_HIDDEN if name in spec.sensitive_fields else value for name, value in named]
    hidden = {*spec.sensitive_fields, "b64"}  # bytes may hold any of them
    return {name: _HIDDEN if name in hidden else value for name, value in sent.items()}


async def _known(service: Service, instance: Instance) -> bool:
    deadline = Deadline.after(service.settings.deadline_s, service.clock)
    for lookup in Planner(service.bundle.spec).plan(Instances.of([instance])):
        answers = await service.store.read(lookup.view, lookup.keys, deadline)
        if any(row is None or isinstance(row, StoreError) for row in answers.values()):
            return False
    return True
