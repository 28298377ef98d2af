"""What others take of a core."""

import os

from load_tests.cpu import Neighbours, share_of_others


def test_what_neither_the_process_had_nor_nobody_was_taken_by_others() -> None:
    assert share_of_others((100.0, 40.0, 7.0), (110.0, 41.0, 13.5)) == 0.25
    assert share_of_others((100.0, 40.0, 7.0), (110.0, 44.0, 13.0)) == 0.0


def test_the_kernels_two_clocks_may_disagree_by_a_little() -> None:
    assert share_of_others((100.0, 40.0, 7.0), (110.0, 44.0, 13.1)) == 0.0
    assert share_of_others((100.0, 40.0, 7.0), (100.0, 40.0, 7.1)) == 0.0


def test_a_core_that_is_not_there_has_no_neighbours() -> None:
    assert Neighbours(os.getpid(), 9_999).share() == 0.0
