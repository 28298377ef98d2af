"""JSON lines and TFRecords: inputs whose rows are instances as they are on the wire."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple, TypeVar

import orjson

from features.documents import nearest
from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.planning import Instances
from features.spec import Spec
from features.tf_example import read_example
from service.errors import RowUnreadable, TableError
from service.offline.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, Reading
from service.offline.sent import SentTexts, understood_types
from service.offline.streams import Wake, named, opened
from service.offline.tfrecord import Record, records
from service.parsing import ParsedRequest, RequestParser
from service.schemas import Parameters

_ALIKE: Final = 512
"""Rows that are looked at column by column; one that is unusual slows so many down."""

_MOST_BYTES: Final = CHUNK_BYTES + 1
"""A longer line is no instance, but most likely a file without line breaks, which memory need not hold."""

_T = TypeVar("_T")

_BOM: Final = b"\xef\xbb\xbf"


class _Taken(NamedTuple):
    """Some rows, one after the other.

    Attributes:
        places: Their line or record numbers.
        texts: They as JSON; made when they are asked for.
        values: What JSON makes of them; None where it makes nothing.
        unreadable: Why nothing can be made of a row, by its position.
    """

    places: Sequence[int]
    texts: Sequence[bytes]
    values: list[Any]
    unreadable: dict[int, str]


class InstanceSource(ABC):
    """Rows that are instances as the wire has them; what the subclasses read them from."""

    unit: ClassVar[str]

    def __init__(self, path: Path, spec: Spec, *, extra: bool, wake: Wake, chunk_rows: int = CHUNK_ROWS) -> None:
        """Names an input.

        Args:
            path: The file, or stdin.
            spec: What instances hold.
            extra: Whether undeclared members are let through.
            wake: Ends a read of stdin.
            chunk_rows: How many rows make a chunk.
        """
        self._path = path
        self._spec = spec
        self._extra = extra
        self._wake = wake
        self._chunk_rows = chunk_rows
        self._parser = RequestParser(spec, chunk_rows)
        self._shapes = InstanceParser(spec)
        self._parameters = Parameters(extra="ignore" if extra else "refuse")
        self._types = understood_types(spec, whole=extra)

    @property
    def name(self) -> str:
        """See `Source.name`."""
        return named(self._path)

    def read(self, skip: int = 0) -> Reading:
        """See `Source.read`."""
        return Reading(self._types, self._chunks(skip))

    def _chunks(self, skip: int) -> Iterator[Chunk]:
        with opened(self._path, self._wake) as (file, share):
            for taken in self._takings(file, skip):
                request = self._understood(taken)
                sent = SentTexts(taken.texts, request, self._types)
                yield Chunk(request, taken.places, sent, share())

    @abstractmethod
    def _takings(self, file: BinaryIO, skip: int) -> Iterator[_Taken]:
        """Chunks of values, from the row after the first `skip` on."""

    def _understood(self, taken: _Taken) -> ParsedRequest:
        values = taken.values
        instances = Instances(len(self._spec.keys), len(self._spec.fields))
        request = ParsedRequest(len(values), self._parameters, instances, sent=list(values))
        for start in range(0, len(values), _ALIKE):
            self._parser.read(request, start, min(start + _ALIKE, len(values)))
        for at, error in request.failures.items():
            why = taken.unreadable.get(at)
            request.failures[at] = self._worded(values[at], error) if why is None else RowUnreadable(why)
        return request

    def _worded(self, value: Any, error: InstanceInvalid) -> InstanceInvalid:
        """The wire's refusal in a command line's words, where an undeclared member may be the reason."""
        if not isinstance(value, dict) or self._extra:
            return error
        unknown = next((name for name in _members(value) if name not in self._spec.input_names), None)
        return error if unknown is None else InstanceInvalid(unknown_name(unknown, self._spec))


class JsonLines(InstanceSource):
    """One JSON value in UTF-8 on every line; blank lines do not count."""

    unit: ClassVar[str] = "line"

    def _takings(self, file: BinaryIO, skip: int) -> Iterator[_Taken]:
        above = _lines_of(file, skip)
        upcoming = iter(partial(file.readline, _MOST_BYTES), b"")
        while lines := _some(upcoming, self._chunk_rows, len):
            if len(lines[-1]) == _MOST_BYTES:
                where = f"{self.name}: line {above + len(lines)}"
                raise TableError(
                    f"{where}: is longer than {CHUNK_BYTES >> 20} MiB; each instance has a line of its own"
                )
            if not above:
                lines[0] = lines[0].removeprefix(_BOM)
            texts = list(map(bytes.strip, lines))
            places: Sequence[int] = range(above + 1, above + len(lines) + 1)
            above += len(lines)
            if b"" in texts:
                places = [place for place, text in zip(places, texts, strict=True) if text]
                texts = [text for text in texts if text]
            if texts:
                yield _parsed(places, texts)


class TFRecords(InstanceSource):
    """Records that hold serialized tf.train.Examples, or the text of a key, as Vertex AI hands them to a container."""

    unit: ClassVar[str] = "record"

    def _takings(self, file: BinaryIO, skip: int) -> Iterator[_Taken]:
        found = records(file, self.name)
        above = sum(1 for _ in islice(found, skip))
        while some := _some(found, self._chunk_rows, lambda record: len(record.data)):
            damaged = {at: _DAMAGED for at, record in enumerate(some) if not record.sound}
            values = [self._value(record) for record in some]
            places = range(above + 1, above + len(some) + 1)
            yield _Taken(places, _Packed([record.data for record in some]), values, damaged)
            above += len(some)

    def _value(self, record: Record) -> Any:
        """What a record means; of an Example the values themselves, to be looked at column by column."""
        if not record.sound:
            return None
        example = self._shapes.example(record.data)
        return _packed(record.data) if example is None or "b64" in example else example


class _Packed(Sequence[bytes]):
    """Records as the JSON in which Vertex AI hands them to a container."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, at: Any) -> Any:
        return orjson.dumps(_packed(self._records[at]))


def _packed(record: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(record).decode()}


_DAMAGED: Final = "is damaged: its checksum is wrong"


def _lines_of(file: BinaryIO, rows: int) -> int:
    """Passes over so many rows; returns how many lines these were, blank ones among them."""
    lines = 0
    while rows:
        line = next(file)
        rows -= bool((line if lines else line.removeprefix(_BOM)).strip())
        lines += 1
    return lines


def _members(value: dict[str, Any]) -> Iterable[str]:
    """The names that an instance holds, or the Example in it."""
    if "b64" not in value:
        return value
    try:
        return read_example(base64.b64decode(value["b64"])) or ()
    except (TypeError, ValueError):
        return ()


def _some(rows: Iterable[_T], most: int, length: Callable[[_T], int]) -> list[_T]:
    some = []
    room = CHUNK_BYTES
    for row in islice(rows, most):
        some.append(row)
        room -= length(row)
        if room < 0:
            break
    return some


def _parsed(places: Sequence[int], texts: list[bytes]) -> _Taken:
    try:
        return _Taken(places, texts, list(map(orjson.loads, texts)), {})
    except orjson.JSONDecodeError:  # one by one, then
        values: list[Any] = []
    unreadable: dict[int, str] = {}
    for at, text in enumerate(texts):
        try:
            values.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            values.append(None)
            unreadable[at] = f"is not JSON in UTF-8: {error.msg} at byte {error.pos}"
            texts[at] = orjson.dumps(text.decode(errors="replace"))
    return _Taken(places, texts, values, unreadable)


def unknown_name(name: str, spec: Spec) -> str:
    """What is said of a column or member that nobody declared."""
    names = spec.input_names
    known = nearest(name, names) or f"; they are {', '.join(names)}"
    return f"{name!r} is neither a key nor a request field{known} (--extra ignore lets others through)"
