"""`keyscore put --store vertex`: the same by a direct write, to a real feature view and to the emulator alike."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final

from rich.markup import escape

from features.clock import SystemClock
from features.documents import nearest
from features.keys import KeyPart
from features.stores.vertex_channel import VertexChannel
from features.stores.vertex_names import regional_host
from features.stores.vertex_write import direct_write
from features.values import DType, EntityKey, Value
from service.cli.console import note, output, plain_table
from service.cli.put_words import dtype_by_form, key_of, named_key, pairs_of, shown, value_of
from service.cli.vertex_views import VertexView, vertex_view
from service.settings import Platform, Settings
from service.stores import tokens_of

_TIMEOUT_S: Final = 10.0
"""A write waits for its confirmation so long; nobody's payment hangs on it."""


def put_to_vertex(
    view: str, words: Sequence[str], moment: float | None, settings: Settings, platform: Platform
) -> None:
    """Sets the values, and shows what is there now.

    Raises:
        NoSuchView: Nothing was written: there is no such view.
        NotPut: Same: the words are no key and values.
        FeaturesError: Same: the store did not take them.
        StartError: Same: Google itself would be asked without TLS.
    """
    target = vertex_view(view, settings, platform)
    short = target.name.view if target.declared is None else target.declared.name
    columns: Mapping[str, DType] = {}
    if target.declared is None:  # nobody says how many parts the key has: all words before the first pair
        given = list(takewhile(lambda word: "=" not in word, words)) or words[:1]
        parts = [KeyPart("key" if len(given) == 1 else f"part {number}") for number, _ in enumerate(given, 1)]
        names: list[str] = []
    else:
        columns = {column.name: column.dtype for column in target.declared.layout.columns}
        parts = list(target.declared.entity.keys)
        names = [part.name for part in parts]
    key = key_of(words, short, parts, columns)
    pairs = pairs_of(words[len(parts) :], short, names, columns)
    dtypes = {name: columns.get(name) or dtype_by_form(text) for name, text in pairs.items()}
    values = {name: value_of(name, text, dtypes[name]) for name, text in pairs.items()}
    guessed = {name: dtypes[name] for name in values if name not in columns and values[name] is not None}
    if guessed:
        _say_guesses(guessed, columns, short, declared=target.declared is not None)
    asyncio.run(_write(settings, target, key, values, SystemClock().wall() if moment is None else moment))
    console = output()
    console.print(escape(f"{short} {named_key(key, names)}"))
    table = plain_table("column", "is now", right=("is now",))
    for name, value in values.items():
        table.add_row(escape(name), escape(shown(value)))
    console.print(table)


def _say_guesses(guessed: Mapping[str, DType], columns: Mapping[str, DType], view: str, *, declared: bool) -> None:
    typed = ", ".join(f"{name} as {dtype}" for name, dtype in guessed.items())
    why = f"the bundle does not read all of these from {view}" if declared else "no bundle declares this view"
    note(f"{why}; typed by the form of the values: {typed}{''.join(nearest(name, columns) for name in guessed)}")


async def _write(
    settings: Settings, target: VertexView, key: EntityKey, values: Mapping[str, Value], moment: float
) -> None:
    tokens = tokens_of(settings)
    if tokens is not None:
        await tokens.warm()
    host = settings.vertex_endpoint or f"{regional_host(target.name.location)}:443"
    channel = VertexChannel(host, tokens)
    try:
        await direct_write(channel, target.resource, key, values, moment, timeout_s=_TIMEOUT_S)
    finally:
        await channel.aclose()
