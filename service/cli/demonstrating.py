"""`keyscore demo`: a bundle and a store to try everything with."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import note, output, plain_table
from service.cli.options import SqlitePathOption, settings_of
from service.errors import ServiceError
from service.settings import DEMO_BUNDLE, Settings

if TYPE_CHECKING:  # at run time it would bring CatBoost along
    from model.training.card import ModelCard


class NotBuilt(ServiceError):
    """There is no demo; says why."""


def demo(
    *,
    customers: Annotated[int, typer.Option(min=300, help="Card holders to simulate.")] = 2_000,
    merchants: Annotated[int, typer.Option(min=250, help="Merchants to simulate.")] = 1_000,
    days: Annotated[int, typer.Option(min=60, help="Days to simulate.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Where all chance comes from.")] = 2024,
    directory: Annotated[Path, typer.Option(metavar="DIR", help="Where the bundle goes.")] = Path(DEMO_BUNDLE),
    sqlite_path: SqlitePathOption = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing if the demo is there already.")] = False,
) -> None:
    """Simulate card payments, train a model on them, and fill the embedded store.

    Takes about ten seconds. A demo that is there already is built anew; other views of the store stay.

    For example:

    - `keyscore demo`
    - `keyscore demo --customers 20000 --merchants 5000`
    """
    settings, _ = settings_of(sqlite_path=sqlite_path)
    if if_missing and (directory / "serving.yaml").is_file() and settings.sqlite_path.is_file():
        output().print(f"The demo is there already: {directory} and {settings.sqlite_path}.")
        return
    from model.training.demo import build_demo  # noqa: PLC0415  # brings CatBoost and pandas along, half a second
    from model.training.simulate import SimulationConfig  # noqa: PLC0415  # same

    config = SimulationConfig(customers=customers, merchants=merchants, days=days, seed=seed)
    try:
        card = build_demo(directory, settings.sqlite_path, config, note)
    except ValueError as error:
        raise NotBuilt(str(error)) from error
    except OSError as error:  # the builder's own refusals have no `strerror`
        raise NotBuilt(f"{directory} cannot be written: {error.strerror}" if error.strerror else str(error)) from error
    _show(card, directory, settings.sqlite_path)


def _show(card: "ModelCard", directory: Path, store: Path) -> None:
    from model.training.card import ALERTS_PER_DAY  # noqa: PLC0415  # imported already by whoever built the card

    console = output()
    table = plain_table("on the test", "model", "amount alone", "best possible", right=_FIGURES)
    model, baseline = card.model, card.baseline
    table.add_row("ROC AUC", f"{model.roc_auc:.3f}", f"{baseline.roc_auc:.3f}", "1")
    table.add_row("average precision", f"{model.average_precision:.3f}", f"{baseline.average_precision:.3f}", "1")
    table.add_row(
        f"precision in the top {ALERTS_PER_DAY} a day",
        f"{model.precision_top_100:.3f}",
        f"{baseline.precision_top_100:.3f}",
        f"{card.best_top_100:.3f}",
    )
    console.print()
    console.print(table)
    flags = [] if directory == Path(DEMO_BUNDLE) else ["--bundle", str(directory)]
    if store != Settings.model_fields["sqlite_path"].default:
        flags += ["--sqlite-path", str(store)]
    serve, check = (shlex.join(["keyscore", command, *flags]) for command in ("serve", "check"))
    console.print(f"\nThe whole model card: {directory / 'model_card.md'}", soft_wrap=True, markup=False)
    console.print(f"Next: {serve}   (or {check})", soft_wrap=True, markup=False)


_FIGURES = ("model", "amount alone", "best possible")
