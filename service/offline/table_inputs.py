"""What all inputs that are tables have in common: columns that go by the names of keys and request fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from features.planning import Instances
from features.spec import Spec
from service.errors import TableError
from service.offline.chunks import CHUNK_ROWS
from service.offline.jsonl import unknown_name
from service.offline.streams import named
from service.parsing import ParsedRequest, RequestParser
from service.schemas import Parameters

_ALIKE: Final = 512
"""Rows that are looked at column by column; one that is unusual slows so many down."""

_SHIPPED: Final = Parameters()


class TableInput:
    """A table whose columns are looked up by name."""

    def __init__(self, path: Path, spec: Spec, *, extra: bool, chunk_rows: int = CHUNK_ROWS) -> None:
        """Names an input.

        Args:
            path: The file, or stdin.
            spec: What instances hold.
            extra: Whether undeclared columns are let through.
            chunk_rows: How many rows make a chunk.
        """
        self._path = path
        self._spec = spec
        self._extra = extra
        self._chunk_rows = chunk_rows
        self._parser = RequestParser(spec, chunk_rows)

    @property
    def name(self) -> str:
        """See `Source.name`."""
        return named(self._path)

    def _check_names(self, names: Sequence[str]) -> None:
        wanted = self._spec.input_names
        undeclared = [name for name in names if name not in wanted]
        if undeclared and not self._extra:
            raise TableError(f"{self.name}: column {unknown_name(undeclared[0], self._spec)}")
        for name in wanted:
            if name not in names:
                raise TableError(f"{self.name} has no column {name!r}; its columns are {', '.join(names)}")

    def _request(self, size: int) -> ParsedRequest:
        return ParsedRequest(size, _SHIPPED, Instances(len(self._spec.keys), len(self._spec.fields)))

    def _understand(self, request: ParsedRequest, columns: Sequence[Sequence[Any]]) -> None:
        """Reads the rows of a request from lists of Python values, one for each name that an instance holds."""
        for start in range(0, request.size, _ALIKE):
            self._parser.read_columns(request, [column[start : start + _ALIKE] for column in columns], start)
