"""Which key has which place, and who makes room: a table of keys that never holds more than so many. Knows no rows."""

from array import array
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.values import EntityKey

_CHANCES: Final = 64
"""Keys that one insertion may pass over, 20 us; with 100,000 keys that were all used it would else be 30 ms."""

_MADE_AT_ONCE: Final = 1_024

Places = NDArray[np.intp]
"""The places of keys, `(n_keys,)`."""


class SecondChance:
    """At most so many keys; a hand goes round, and the first one that was not used since it last came by makes room.

    Where very many were used, one of them goes all the same. As good as an LRU where it matters, and a use is one flag
    at the key's place: with cachetools' LRUCache a look-up takes 0.4 us, with a list that is reordered 0.15, with the
    flag 0.06 (100,000 keys), and the places of a thousand keys are looked up and flagged together. A plain dict, since
    an OrderedDict of 87,381 keys holds the loop up for 12 ms when it grows, three times as long.
    Source: Corbato, "A Paging Experiment with the Multics System", 1968 (CLOCK).

    Attributes:
        most: How many keys there may be.
        on_grow: Called with how many places there are when there are more of them, before any of those is given out.
        on_leave: Called with a place before its key makes room for another; not where a key is forgotten.
        place_of: The place of a key, None if it has none; whoever asks has to note its use.
        tenants: For each place, how many there are who keep something there; theirs to count.
        used: One byte for each place: whether its key was used since it was last considered for making room.
    """

    __slots__ = (
        "_flags",
        "_free",
        "_hand",
        "_keys",
        "_places",
        "most",
        "on_grow",
        "on_leave",
        "place_of",
        "tenants",
        "used",
    )

    def __init__(self, most: int) -> None:
        """Has no key yet.

        Args:
            most: How many keys there may be, at least 1.
        """
        self.most = most
        self.on_grow: list[Callable[[int], None]] = []
        self.on_leave: list[Callable[[int], None]] = []
        self.tenants = array("H", bytes(2 * most))
        self.used = bytearray(most)
        self._flags = np.frombuffer(self.used, dtype=np.bool_)
        self._places: dict[EntityKey, int] = {}
        self.place_of: Final = self._places.get
        self._keys: list[EntityKey] = []
        self._free: list[int] = []
        self._hand = 0

    def __repr__(self) -> str:
        return f"<SecondChance {len(self)}/{self.most} keys>"

    def __len__(self) -> int:
        return len(self._places)

    def find_all(self, keys: Sequence[EntityKey]) -> Places:
        """The place of each key, which counts as used from now on; -1 where it has none."""
        places = np.fromiter(map(self._places.get, keys, repeat(-1)), np.intp, len(keys))
        self._flags[places[places >= 0] if places.min(initial=0) < 0 else places] = True
        return places

    def place(self, key: EntityKey) -> int:
        """The place of `key`: its own, or one that is free, or that another key makes free; no use of it is noted."""
        place = self._places.get(key)
        if place is not None:
            return place
        if not self._free and len(self._keys) < self.most:
            self._make_places()
        place = self._free.pop() if self._free else self._make_room()
        self._keys[place] = key
        self.used[place] = False
        self._places[key] = place
        return place

    def forget(self, key: EntityKey) -> None:
        """Gives the place of `key` up, at which nobody keeps anything any more."""
        place = self._places.pop(key, None)
        if place is not None:
            self._free.append(place)

    def _make_places(self) -> None:
        """Makes the next places, all at once: numbers that are neighbours in memory are found faster."""
        first = len(self._keys)
        self._free = list(range(first, min(self.most, first + _MADE_AT_ONCE)))
        self._free.reverse()
        self._keys.extend(repeat("", len(self._free)))
        for grow in self.on_grow:
            grow(len(self._keys))

    def _make_room(self) -> int:
        """The place of the key that was pushed out."""
        for _ in range(_CHANCES):
            if not self.used[self._hand]:
                break
            self.used[self._hand] = False
            self._hand = (self._hand + 1) % self.most
        for leave in self.on_leave:
            leave(self._hand)
        place = self._places.pop(self._keys[self._hand])
        self._hand = (place + 1) % self.most
        return place
