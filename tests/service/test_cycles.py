"""An answer must be read at some pace, not only touched."""

import pytest

from service.cycles import Unread

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "waited_s"),
    [
        ([0, 0, 0], 0),
        ([10 * MEGABYTE] * 4, 3),
        ([10 * MEGABYTE - 1_000 * at for at in range(6)], 5),  # drips
        ([10 * MEGABYTE - 300_000 * at for at in range(6)], 0),
        ([10 * MEGABYTE - 100_000 * at for at in range(6)], 2),  # a good piece in three seconds
        ([1_000, 1_000, 0], 0),  # the rest is less than a good piece
        ([1_000, 1_000, 5_000], 0),  # another answer
    ],
)
def test_a_wait_ends_with_a_good_piece_with_the_end_or_with_more_to_take(sizes: list[int], waited_s: int) -> None:
    unread = Unread()
    assert [unread.waited_s(size, 100.0 + at) for at, size in enumerate(sizes)][-1] == waited_s
