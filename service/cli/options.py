"""Options that several commands share; they mirror the settings of the same name and win over the environment."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from service.cli.console import note
from service.errors import StartError
from service.settings import Platform, Settings, setting_problems, unknown_variables

BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", metavar="URI", help="The bundle's directory or gs:// URI; the demo if not given."),
]
SqlitePathOption = Annotated[
    Path | None,
    typer.Option("--sqlite-path", metavar="FILE", help="The embedded store's file; var/features.sqlite if not given."),
]
ViewOption = Annotated[
    str | None, typer.Option("--view", metavar="VIEW", help="The one view of a bundle that has no serving.yaml.")
]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="STORE", help="Which online store: sqlite, if not given, or vertex.")
]
VertexEndpointOption = Annotated[
    str | None,
    typer.Option("--vertex-endpoint", metavar="HOST:PORT", help="gRPC in place of the region's host; an emulator's."),
]
VertexRestEndpointOption = Annotated[
    str | None,
    typer.Option("--vertex-rest-endpoint", metavar="HOST:PORT", help="REST in place of the region's host; same."),
]
VertexPlaintextOption = Annotated[
    bool | None,
    typer.Option("--vertex-plaintext/--no-vertex-plaintext", help="No TLS and no credentials, for an emulator."),
]


def settings_of(**chosen: object) -> tuple[Settings, Platform]:
    """The settings that these options and the environment give, and the platform.

    Args:
        **chosen: Setting to value; None leaves it to the environment.

    Raises:
        StartError: A setting is out of bounds.
    """
    for name in unknown_variables(os.environ):
        note(f"warning: the environment sets {name}, which is no setting of Keyscore")
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    try:
        return Settings(**given), Platform.of(os.environ)
    except ValidationError as error:
        raise StartError("; ".join(setting_problems(error).values())) from None
