"""Rows of Vertex AI as bytes: those of nothing but floats are read by where their numbers stand.

Rows of one view name the same features in the same order, and what differs from row to row are eight bytes for each
number and, nearly always, one moment for all of them. So the first row of its length is read feature by feature, and
teaches where the numbers stand; the next ones are cut there. Everything else must be, byte by byte, what it was, and
all moments in a row the same; where that is not so, the row is read feature by feature again. For a row of 30 floats
this takes 8 us instead of 31.

Source of the encoding: https://protobuf.dev/programming-guides/encoding/ (a double is tag 0x11 and eight bytes, little
endian first; protobuf writes fields in the order of their numbers).
"""

import struct
import sys
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, NamedTuple

from features.stores.base import ReadAnswer
from features.stores.vertex_decoding import decode_features, seconds_of
from features.stores.vertex_messages import FeatureValue
from features.values import FeatureRow, RowLayout

_TEMPLATES: Final = 64
"""Lengths of rows that are remembered: they differ with the digits of the moment."""

_DOUBLE: Final = b"\x11"
_PARTS: Final = 3  # for each feature: what leads to its number, the number, and what dates it


class _Template(NamedTuple):
    """Where the numbers of a row stand.

    Attributes:
        cut: Cuts a row into three parts for each feature.
        leads: The first of the three of every feature.
        numbers: Takes the numbers of the layout's columns, in their order, out of all parts.
    """

    cut: Callable[[bytes], tuple[bytes, ...]]
    leads: tuple[bytes, ...]
    numbers: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]


class RowDecoder:
    """Decodes the rows of one view.

    Attributes:
        layout: The columns that are wanted.
    """

    __slots__ = ("_dated", "_read", "_templates", "layout")

    def __init__(self, layout: RowLayout, read: Callable[[Any, RowLayout], ReadAnswer] = decode_features) -> None:
        """Has seen no row yet.

        Args:
            layout: The columns that are wanted.
            read: Reads a row feature by feature.
        """
        self.layout = layout
        self._read = read
        self._templates: dict[int, _Template | None] = {}
        self._dated: tuple[bytes, float | None] = (b"", None)

    def decode(self, message: Any) -> ReadAnswer:
        """The row in a `FetchFeatureValuesResponse`; see `decode_features`."""
        if not self.layout.all_floats or sys.byteorder != "little":
            return self._read(message, self.layout)
        data = message.key_values.SerializeToString()
        if len(data) in self._templates:
            template = self._templates[len(data)]
            row = None if template is None else self._cut(data, template)
            return self._read(message, self.layout) if row is None else row
        if len(self._templates) < _TEMPLATES:
            self._templates[len(data)] = _template(message.key_values.features, data, self.layout)
        return self._read(message, self.layout)

    def _cut(self, data: bytes, template: _Template) -> FeatureRow | None:
        parts = template.cut(data)
        dates = parts[2::_PARTS]
        if parts[0::_PARTS] != template.leads or dates.count(dates[0]) != len(dates):
            return None
        if dates[0] != self._dated[0]:
            self._dated = dates[0], seconds_of(FeatureValue.FromString(dates[0]).metadata)
        return self.layout.row_of_floats(b"".join(template.numbers(parts)), self._dated[1])


def _template(features: Any, data: bytes, layout: RowLayout) -> _Template | None:
    """The template that a row teaches; None if it is no row of nothing but floats, or lacks one."""
    lengths: list[int] = []
    names: list[str] = []
    end = 0
    for pair in features:
        value = pair.value.SerializeToString()
        start = data.index(pair.SerializeToString(), end)
        number = start + pair.ByteSize() - len(value) + 1
        if value[:1] != _DOUBLE or data[number - 1 : number + len(value) - 1] != value:
            return None
        lengths += [number - end, 8, len(value) - 9]
        names.append(pair.name)
        end = number + len(value) - 1
    wanted = [column.name for column in layout.columns]
    if end != len(data) or len(set(names)) != len(names) or not layout.names.issubset(names):
        return None
    cut = struct.Struct("=" + "".join(f"{length}s" for length in lengths)).unpack
    places = [names.index(name) * _PARTS + 1 for name in wanted]
    take = itemgetter(*places) if len(places) > 1 else (lambda parts: (parts[places[0]],))
    return _Template(cut, cut(data)[0::_PARTS], take)
