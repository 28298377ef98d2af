"""Balances: every entry moves them, no payment breaks a limit, and what was declined was not made."""

import numpy as np

from model.training.history import DAY_MS, GENUINE, Customers, History, Transactions
from model.training.ledger import keep_books, one_at_a_time


def customers(opening: list[int], limit: list[int]) -> Customers:
    count = len(opening)
    ones = np.ones(count, dtype=np.int64)
    return Customers(
        position=np.zeros((count, 2)),
        home_country=ones,
        thrift=np.ones(count),
        mean_amount=np.ones(count),
        payments_per_day=np.ones(count),
        monthly_income_cents=ones,
        pay_every_days=ones * 30,
        first_pay_day=ones,
        opening_balance_cents=np.array(opening),
        credit_limit_cents=np.array(limit),
        age_ms=ones,
    )


def payments(customer: list[int], time_ms: list[int], cents: list[int]) -> Transactions:
    same = np.zeros(len(customer), dtype=np.int64)
    return Transactions(np.array(time_ms), np.array(customer), same, np.array(cents), same, same + GENUINE)


def deposits(*rows: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def test_balance_after_is_balance_before_plus_the_change(history: History) -> None:
    ledger = history.ledger
    first = np.diff(ledger.customer, prepend=-1) > 0
    before = np.where(first, history.customers.opening_balance_cents[ledger.customer], np.roll(ledger.balance_cents, 1))
    np.testing.assert_array_equal(before + ledger.change_cents, ledger.balance_cents)


def test_the_ledger_holds_every_payment_made_and_more(history: History) -> None:
    ledger = history.ledger
    paid = ledger.change_cents < 0
    assert paid.sum() == len(history.transactions)
    assert -ledger.change_cents[paid].sum() == history.transactions.cents.sum()
    assert (~paid).sum() >= len(history.customers)  # at least one salary each in 70 days


def test_no_payment_goes_beyond_the_credit_limit(history: History) -> None:
    ledger = history.ledger
    assert (ledger.balance_cents >= -history.customers.credit_limit_cents[ledger.customer]).all()
    assert history.declined > 0


def test_a_payment_beyond_the_limit_is_declined_and_a_smaller_one_goes_through() -> None:
    who = customers(opening=[1000, 0], limit=[500, 100])
    attempts = payments([0, 0, 0, 1], [1, 2, 4, 3], [1400, 200, 100, 101])
    made, ledger = keep_books(who, deposits(), attempts)
    assert made.time_ms.tolist() == [1, 4]
    assert ledger.balance_cents.tolist() == [-400, -500]


def test_a_deposit_makes_room() -> None:
    made, ledger = keep_books(customers([0], [100]), deposits((0, 2, 1000)), payments([0, 0], [1, 3], [200, 200]))
    assert made.time_ms.tolist() == [3]
    assert ledger.change_cents.tolist() == [1000, -200]
    assert ledger.balance_cents.tolist() == [1000, 800]


def test_payments_come_back_in_order_of_time() -> None:
    made, _ = keep_books(
        customers([9999, 9999], [1, 1]), deposits(), payments([1, 0, 1, 0], [4, 3, 2, 1], [1, 2, 3, 4])
    )
    assert made.time_ms.tolist() == [1, 2, 3, 4]
    assert made.customer.tolist() == [0, 1, 0, 1]
    assert made.cents.tolist() == [4, 3, 2, 1]


def test_events_of_one_moment_are_moved_apart_within_a_customer_only() -> None:
    customer = np.array([0, 0, 0, 1, 1])
    moved = one_at_a_time(customer, np.array([5, 5, 6, 5, 9]))
    assert moved.tolist() == [5, 6, 7, 5, 9]


def test_salaries_come_every_so_many_days(history: History) -> None:
    ledger = history.ledger
    paid_in = ledger.change_cents > 0
    for customer in range(20):
        days = ledger.time_ms[paid_in & (ledger.customer == customer)] // DAY_MS
        assert set(np.diff(days).tolist()) <= {int(history.customers.pay_every_days[customer])}
