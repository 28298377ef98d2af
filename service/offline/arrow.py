"""How pyarrow is kept from importing pandas, which a job has no use for: 0.24 s, a third of its start, and 50 MB."""

import sys
from importlib.machinery import ModuleSpec

import pyarrow as pa


class _NoPandas:
    """Finds no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"no {name} for pyarrow", name=name)
        return None


def forget_pandas() -> None:
    """Has pyarrow find out, which it does once and at its first array, that there is no pandas."""
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)
