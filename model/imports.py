"""How a library is kept from importing what we do not need of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unimportable(name: str) -> Iterator[None]:
    """While this lasts, `import name` fails as if it were not installed, unless it has been imported already.

    Source: https://docs.python.org/3/reference/import.html#the-module-cache ("setting it to None").
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what the import system defines for this
    try:
        yield
    finally:
        del sys.modules[name]
