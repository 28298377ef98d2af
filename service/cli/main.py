"""`keyscore`: the way in.

`serve` is handed through before anything of the command line is imported, so a server that is started this way
carries neither typer nor rich. Everything else imports what it needs when it needs it: `keyscore put` should answer
before CatBoost could be imported.
"""

import sys
from collections.abc import Sequence

from service.early_signals import stop_at_once


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the process's exit code: 0 well, 1 a problem, 2 not understood."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["serve"]:
        if arguments is None:  # this is the process's own command line, so its signals are ours, too
            stop_at_once()
        from service.__main__ import main as serve  # noqa: PLC0415  # takes half a second, and only this command needs it

        return serve(given[1:])
    from service.cli.app import run  # noqa: PLC0415  # typer and rich have no place in a server

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
