"""`keyscore predict`: one prediction, made here and now by the same pipeline as the service's."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from features.errors import FeaturesError, FeatureUnread
from features.spec import Spec
from service.cli.console import human_age, output, plain_table
from service.cli.instances import instance_of
from service.cli.options import BundleOption, SqlitePathOption, StoreOption, ViewOption, settings_of
from service.errors import InstanceFailed, RequestError, ServiceError
from service.problems import problem_for
from service.settings import Platform, Settings


class NotPredicted(ServiceError):
    """There is no prediction; says why, in the words of the problem document."""


def predict(
    instance: Annotated[
        list[str], typer.Argument(metavar="INSTANCE...", help="name=value pairs, a JSON value, or the key alone.")
    ],
    *,
    bundle: BundleOption = None,
    store: StoreOption = None,
    sqlite_path: SqlitePathOption = None,
    view: ViewOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the detailed answer as JSON.")] = False,
) -> None:
    """Predict once, and show where every value came from.

    For example:

    - `keyscore predict customer_id=C00017 merchant_id=M00031 amount=12.5 channel=online`
    - `keyscore predict '["C00017", "M00031", 12.5, "online"]' --json`
    - `keyscore predict T0042 --bundle models/plain --view transactions`
    """
    settings, platform = settings_of(bundle=bundle, store=store, sqlite_path=sqlite_path, view=view)
    answer = asyncio.run(_answer(settings, platform, instance))
    if as_json:
        typer.echo(answer.decode())
        return
    (prediction,) = orjson.loads(answer)["predictions"]
    output().print(Group(_summary(prediction), "", _features(prediction["features"])))


async def _answer(settings: Settings, platform: Platform, words: Sequence[str]) -> bytes:
    from service.wiring import running_service  # noqa: PLC0415  # brings CatBoost along, half a second

    # Whoever runs this can read the store as well, so KEYSCORE_DETAILED=off keeps nothing from them.
    async with running_service(settings.model_copy(update={"detailed": True}), platform) as service:
        sent = instance_of(words, service.bundle.spec)
        try:
            with service.pipeline.admission.admit() as permit:
                style = {"response": "detailed", "on_error": "fail"}  # whatever the deployment's own parameters say
                body = orjson.dumps({"instances": [sent], "parameters": style})
                return (await service.pipeline.answer(body, permit, detailed=True)).body
        except (RequestError, FeaturesError) as error:
            raise NotPredicted(_in_words(error, service.bundle.spec)) from error


def _in_words(error: Exception, spec: Spec) -> str:
    """The problem's detail, and what an operator may know beyond it."""
    if isinstance(error, InstanceFailed):  # there is only one, so its number says nothing
        error = error.reason
    detail = problem_for(error).detail
    if isinstance(error, FeatureUnread):
        return f"{error}: {error.cause}"
    view = problem_for(error).members.get("view")
    keys = [part.name for one in spec.views if one.name == view for part in one.entity.keys]
    return f"{detail} ({', '.join(keys)})" if keys else detail


def _summary(prediction: dict[str, Any]) -> Table:
    entity, model = prediction["entity_id"], prediction["model"]
    table = Table.grid(padding=(0, 2))
    shown = ", ".join(f"{name}={key}" for name, key in entity.items()) if isinstance(entity, dict) else entity
    table.add_row("entity", escape(shown))
    if prediction["predicted_class"] is not None:
        table.add_row("class", f"[bold]{escape(prediction['predicted_class'])}[/]")
    names = prediction["classes"] or [None] * len(prediction["scores"])
    scores = [
        f"{score:.6g}" if name is None else f"{escape(name)}: {score:.6g}"
        for name, score in zip(names, prediction["scores"], strict=True)
    ]
    table.add_row("scores", "   ".join(scores))
    table.add_row("model", escape(f"{model['bundle']} {model['version']} ({model['digest'][:19]}…)"))
    if prediction["degraded"]:
        table.add_row("degraded", f"[yellow]{prediction['degraded']} values[/]")
    return table


def _features(features: dict[str, Any]) -> Table:
    table = plain_table("feature", "value", "status", "source", "age", right=("value", "age"))
    for name, used in features.items():
        present = used["status"] == "PRESENT"
        table.add_row(
            escape(name),
            "[dim]masked[/]" if "masked" in used else _value(used["value"]),
            used["status"] if present else f"[yellow]{used['status']}[/]",
            used["source"],
            human_age(used["age_s"]),
        )
    return table


def _value(value: Any) -> str:
    """Seven digits of a number, which is what float32 holds; a string as it is."""
    if value is None:
        return "[dim]missing[/]"
    if isinstance(value, float):
        return f"{value:.7g}"
    return escape(value) if isinstance(value, str) else orjson.dumps(value).decode()
