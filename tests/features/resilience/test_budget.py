"""Extra calls stay a small share of those that succeed."""

from hypothesis import given
from hypothesis import strategies as st

from features.resilience.budget import TokenBudget


def test_a_budget_spends_what_it_has_and_then_what_it_earns() -> None:
    budget = TokenBudget(2, 0.5)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()
    assert repr(budget) == "<TokenBudget 0.00 of 2 tokens, 2 withdrawals refused>"


def test_a_budget_may_begin_empty() -> None:
    assert not TokenBudget(10, 0.1, tokens=0).withdraw()


def test_a_budget_holds_no_more_than_its_maximum() -> None:
    budget = TokenBudget(3, 1)
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]


@given(
    st.lists(st.booleans(), max_size=500),
    st.sampled_from([0.05, 0.1, 0.2, 1.0]),
    st.integers(1, 20),
    st.integers(0, 20),
)
def test_whatever_happens_extra_calls_stay_within_the_first_tokens_and_the_ratio(
    steps: list[bool], ratio: float, max_tokens: int, first: int
) -> None:
    budget = TokenBudget(max_tokens, ratio, tokens=min(first, max_tokens))
    deposits = extra = 0
    for succeeded in steps:
        if succeeded:
            budget.deposit()
            deposits += 1
        else:
            extra += budget.withdraw()
        assert extra <= min(first, max_tokens) + ratio * deposits + 1e-9
