"""How CatBoost is kept from importing pandas, which a service has no use for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class _DataFrame:
    """What nothing is an instance of."""


class _Series:
    """What nothing is an instance of."""


@contextmanager
def without_pandas() -> Iterator[None]:
    """What is imported meanwhile and wants pandas gets a stand-in, unless pandas has been imported already.

    CatBoost asks of every input whether it is a `DataFrame` or a `Series`. Where pandas is not installed, its Python
    half has a stand-in of its own, just like this one, and its compiled half breaks.
    """
    if "pandas" in sys.modules:
        yield
        return
    stand_in = ModuleType("pandas")
    stand_in.DataFrame = _DataFrame  # type: ignore[attr-defined]  # a module made here
    stand_in.Series = _Series  # type: ignore[attr-defined]  # same
    sys.modules["pandas"] = stand_in
    try:
        yield
    finally:
        del sys.modules["pandas"]
