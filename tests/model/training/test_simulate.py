"""The simulator's rules, looked up in what it produced."""

from dataclasses import fields, replace

import numpy as np
import pytest

from model.training.history import (
    CHANNELS,
    COMPROMISED_MERCHANT,
    DAY_MS,
    DAY_S,
    GENUINE,
    LARGE_AMOUNT,
    ONLINE,
    STOLEN_CARD,
    History,
    Transactions,
    customer_names,
    last_midnight,
    merchant_names,
)
from model.training.simulate import (
    LARGE_CENTS,
    STOLEN_DAYS,
    STOLEN_SHARE,
    SimulationConfig,
    add_fraud,
    draw_purchases,
    simulate,
    theft_odds,
)


def same(one: Transactions, other: Transactions) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Transactions))


@pytest.fixture(scope="module")
def attempts(small: SimulationConfig, history: History) -> tuple[Transactions, Transactions]:
    """Purchases before and after fraud was laid over them, with one card in ten in a thief's hands."""
    config = replace(small, stolen_per_day=0.008, compromised_per_day=0.001)
    genuine = draw_purchases(np.random.default_rng(1), config, history.customers, history.merchants)
    return genuine, add_fraud(np.random.default_rng(2), config, genuine, theft_odds(history.customers))


def test_equal_configurations_give_equal_histories(small: SimulationConfig, history: History) -> None:
    assert same(simulate(small).transactions, history.transactions)


def test_another_seed_gives_another_history(small: SimulationConfig, history: History) -> None:
    assert not same(simulate(replace(small, seed=6)).transactions, history.transactions)


def test_the_end_moves_event_times_and_nothing_else(small: SimulationConfig, history: History) -> None:
    later = simulate(replace(small, end_s=small.end_s + DAY_S))
    assert same(later.transactions, history.transactions)
    times = history.transactions.time_ms
    np.testing.assert_allclose(later.unix_s(times) - history.unix_s(times), DAY_S, rtol=0, atol=1e-6)


def test_a_history_ends_at_its_end(history: History) -> None:
    times = history.unix_s(history.transactions.time_ms)
    assert history.end_s - history.days * DAY_S <= times.min() < times.max() <= history.end_s


def test_the_end_is_last_midnight_unless_said() -> None:
    assert SimulationConfig().end_s == last_midnight()
    assert last_midnight() % DAY_S == 0


def test_transactions_are_in_order_of_time(history: History) -> None:
    assert (np.diff(history.transactions.time_ms) >= 0).all()


def test_a_customer_never_pays_twice_at_one_moment(history: History) -> None:
    made = history.transactions
    assert len(np.unique(np.stack([made.customer, made.time_ms]), axis=1).T) == len(made)


def test_frauds_are_about_one_in_a_hundred(history: History) -> None:
    assert 0.005 < history.transactions.fraud.mean() < 0.02


def test_every_large_payment_is_fraudulent(history: History) -> None:
    made = history.transactions
    assert made.fraud[made.cents > LARGE_CENTS].all()
    assert (made.cents[made.scenario == LARGE_AMOUNT] > LARGE_CENTS).all()


def test_a_compromised_merchant_sees_nothing_but_fraud_for_28_days(history: History) -> None:
    made = history.transactions
    day = made.time_ms // DAY_MS
    begun: dict[int, int] = {}
    for row in np.flatnonzero(made.scenario == COMPROMISED_MERCHANT).tolist():
        begun.setdefault(int(made.merchant[row]), int(day[row]))
    assert begun
    for merchant, first in begun.items():
        theirs = (made.merchant == merchant) & (day >= first) & (day < first + 25)  # 28, less days without a payment
        assert made.fraud[theirs].all()
        after = (made.merchant == merchant) & (day >= first + 28)
        assert not (made.scenario[after] == COMPROMISED_MERCHANT).any()


def test_a_thief_takes_a_third_of_the_payments_at_five_times_the_amount(
    attempts: tuple[Transactions, Transactions],
) -> None:
    genuine, laced = attempts
    thief = laced.scenario == STOLEN_CARD
    np.testing.assert_array_equal(laced.cents[thief], genuine.cents[thief] * 5)
    np.testing.assert_array_equal(laced.cents[~thief], genuine.cents[~thief])
    day = laced.time_ms // DAY_MS
    taken = during = 0
    for customer in np.unique(laced.customer[thief]).tolist():
        theirs = laced.customer == customer
        days = day[thief & theirs]
        if days.max() - days.min() >= STOLEN_DAYS:
            continue  # stolen more than once
        taken += len(days)
        during += (theirs & (day >= days.min()) & (day <= days.max())).sum()
    # The first and the last payment of each theft are the thief's by selection, which adds a little to the third.
    assert taken > 300
    assert STOLEN_SHARE - 0.03 < taken / during < STOLEN_SHARE + 0.1


def test_thieves_lean_to_online_and_shop_anywhere(attempts: tuple[Transactions, Transactions]) -> None:
    genuine, laced = attempts
    thief = laced.scenario == STOLEN_CARD
    assert (laced.channel[thief] == ONLINE).mean() > 0.7 > 2 * (laced.channel[~thief] == ONLINE).mean()
    assert (laced.merchant[thief] != genuine.merchant[thief]).mean() > 0.9
    np.testing.assert_array_equal(laced.merchant[~thief], genuine.merchant[~thief])


def test_fraud_is_only_added_never_taken_away(attempts: tuple[Transactions, Transactions]) -> None:
    genuine, laced = attempts
    assert (genuine.scenario == GENUINE).all()
    np.testing.assert_array_equal(laced.time_ms, genuine.time_ms)
    np.testing.assert_array_equal(laced.customer, genuine.customer)


def test_customers_shop_near_home(attempts: tuple[Transactions, Transactions], history: History) -> None:
    genuine, _ = attempts
    there = history.merchants.position[genuine.merchant]
    distance = np.linalg.norm(history.customers.position[genuine.customer] - there, axis=1)
    assert distance.max() < 35  # 50 of 250 merchants lie within 25.2 on average; corners of the map are thinner
    reached = np.unique(np.stack([genuine.customer, genuine.merchant]), axis=1)
    assert 20 < reached.shape[1] / len(history.customers) < 60


def test_amounts_follow_their_customers(attempts: tuple[Transactions, Transactions], history: History) -> None:
    genuine, _ = attempts
    means = np.bincount(genuine.customer, genuine.cents) / np.maximum(np.bincount(genuine.customer), 1) / 100
    often = np.bincount(genuine.customer) > 100
    # Redrawing negative amounts lifts the mean by about 2 %.
    np.testing.assert_allclose(means[often], history.customers.mean_amount[often], rtol=0.25)
    assert genuine.cents.min() >= 1


def test_categories_have_their_channels(attempts: tuple[Transactions, Transactions], history: History) -> None:
    genuine, _ = attempts
    category = history.merchants.category[genuine.merchant]
    online = [(genuine.channel[category == code] == ONLINE).mean() for code in (0, 6)]
    assert online[0] < 0.1
    assert online[1] > 0.9
    assert set(np.unique(genuine.channel)) == set(range(len(CHANNELS)))


def test_amounts_are_what_float32_can_hold(history: History) -> None:
    amount = history.transactions.amount
    np.testing.assert_array_equal(amount, amount.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(amount * 100, history.transactions.cents, rtol=1e-6)


def test_names_are_the_keys_that_callers_know() -> None:
    assert customer_names(np.array([17])) == ["C00017"]
    assert merchant_names(np.array([42])) == ["M00042"]


def test_an_empty_simulation_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one customer"):
        SimulationConfig(customers=0)
