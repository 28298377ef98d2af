import gc

from load_tests.quiet import undisturbed


def test_garbage_is_collected_again_when_the_last_of_overlapping_runs_is_over() -> None:
    first, second = undisturbed(), undisturbed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
