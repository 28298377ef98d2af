"""Features are what was known strictly before a payment: recomputed one by one from the raw history."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from model.training.features_in_time import PointInTime, ViewState
from model.training.history import CATEGORIES, COUNTRIES, DAY_MS, Bools, History, Ints

DELAY_MS = 7 * DAY_MS
SAMPLE = 150


@pytest.fixture(scope="module")
def rows(history: History) -> Ints:
    """Payments from the whole history, the first ones and those near frauds among them."""
    rng = np.random.default_rng(3)
    frauds = np.flatnonzero(history.transactions.fraud)
    return np.unique(
        np.concatenate([rng.integers(0, len(history.transactions), SAMPLE), rng.choice(frauds, 50), [0, 1, 2]])
    )


@pytest.fixture(scope="module")
def states(history: History, known: PointInTime, rows: Ints) -> Mapping[str, ViewState]:
    return known.before(history.transactions.take(rows))


def within(history: History, whose: Bools, until_ms: int, days: int) -> Bools:
    time_ms = history.transactions.time_ms
    return whose & (time_ms >= until_ms - days * DAY_MS) & (time_ms < until_ms)


def mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


@pytest.mark.parametrize("days", [1, 7, 30])
def test_activity_is_of_payments_before_this_one(
    history: History, rows: Ints, states: Mapping[str, ViewState], days: int
) -> None:
    made, activity = history.transactions, states["customer_activity"].columns
    for i, row in enumerate(rows.tolist()):
        whose = made.customer == made.customer[row]
        window = within(history, whose, int(made.time_ms[row]), days)
        assert activity[f"txn_count_{days}d"][i] == window.sum()
        expected = mean(made.cents[window] / 100)
        assert activity[f"mean_amount_{days}d"][i] == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("days", [1, 7, 30])
def test_risk_is_of_payments_whose_labels_were_known(
    history: History, rows: Ints, states: Mapping[str, ViewState], days: int
) -> None:
    made, risk = history.transactions, states["merchant_risk"].columns
    for i, row in enumerate(rows.tolist()):
        whose, now = made.merchant == made.merchant[row], int(made.time_ms[row])
        assert risk[f"txn_count_{days}d"][i] == within(history, whose, now, days).sum()
        labelled = within(history, whose, now - DELAY_MS, days)
        assert risk[f"fraud_rate_{days}d"][i] == pytest.approx(mean(made.fraud[labelled]), rel=1e-12, nan_ok=True)


def test_the_balance_is_the_one_before_the_payment(
    history: History, rows: Ints, states: Mapping[str, ViewState]
) -> None:
    made, ledger, account = history.transactions, history.ledger, states["customer_account"]
    for i, row in enumerate(rows.tolist()):
        customer = made.customer[row]
        before = (ledger.customer == customer) & (ledger.time_ms < made.time_ms[row])
        opening = history.customers.opening_balance_cents[customer]
        assert account.columns["balance"][i] == (opening + ledger.change_cents[before].sum()) / 100
        changed = ledger.time_ms[before].max(initial=0)
        assert account.event_time_s[i] == history.unix_s(np.array([changed]))[0]


def test_nothing_that_happens_later_changes_a_feature(history: History, known: PointInTime, rows: Ints) -> None:
    """The strongest form of "no leak": cut the history off before the payment and ask again."""
    made = history.transactions
    for row in rows[:: len(rows) // 5].tolist():
        past = made.time_ms < made.time_ms[row]
        entries = history.ledger.time_ms < made.time_ms[row]
        ledger = type(history.ledger)(
            history.ledger.customer[entries],
            history.ledger.time_ms[entries],
            history.ledger.change_cents[entries],
            history.ledger.balance_cents[entries],
        )
        cut = History(
            history.end_s, history.days, history.customers, history.merchants, made.take(past), ledger, declined=0
        )
        this = made.take(np.array([row]))
        then, now = PointInTime(cut).before(this), known.before(this)
        for view, state in now.items():
            for column, values in state.columns.items():
                np.testing.assert_array_equal(values, then[view].columns[column], err_msg=f"{view}.{column}")
            np.testing.assert_array_equal(state.event_time_s, then[view].event_time_s)


def test_event_times_are_those_of_the_payment_before(
    history: History, rows: Ints, states: Mapping[str, ViewState]
) -> None:
    made = history.transactions
    for view, whose in (("customer_activity", made.customer), ("merchant_risk", made.merchant)):
        for i, row in enumerate(rows.tolist()):
            earlier = made.time_ms[(whose == whose[row]) & (made.time_ms < made.time_ms[row])]
            assert states[view].event_time_s[i] == history.unix_s(earlier.max(initial=0))


def test_what_does_not_move_is_the_customers_and_the_merchants_own(
    history: History, rows: Ints, states: Mapping[str, ViewState]
) -> None:
    made = history.transactions.take(rows)
    account, risk = states["customer_account"].columns, states["merchant_risk"].columns
    assert account["home_country"].tolist() == [COUNTRIES[c] for c in history.customers.home_country[made.customer]]
    assert risk["category"].tolist() == [CATEGORIES[c] for c in history.merchants.category[made.merchant]]
    np.testing.assert_array_equal(
        account["account_age_days"], (history.customers.age_ms[made.customer] + made.time_ms) // DAY_MS
    )


def test_the_latest_state_is_the_one_at_the_end(history: History, known: PointInTime) -> None:
    latest = known.latest()
    ledger = history.ledger
    last_entry = np.append(np.diff(ledger.customer) > 0, values=True)
    balance = history.customers.opening_balance_cents.copy()
    balance[ledger.customer[last_entry]] = ledger.balance_cents[last_entry]
    np.testing.assert_array_equal(latest["customer_account"].columns["balance"], balance / 100)
    recent = history.transactions.time_ms >= history.end_ms - 7 * DAY_MS
    counts = np.bincount(history.transactions.customer[recent], minlength=len(history.customers))
    activity = latest["customer_activity"]
    np.testing.assert_array_equal(activity.columns["txn_count_7d"], counts[activity.entity])


def test_customers_who_never_paid_have_no_row_of_activity(history: History, known: PointInTime) -> None:
    never = sorted(set(range(len(history.customers))) - set(history.transactions.customer.tolist()))
    latest = known.latest()
    assert not set(never) & set(latest["customer_activity"].entity.tolist())
    assert len(latest["customer_account"].entity) == len(history.customers)
    assert len(latest["merchant_risk"].entity) == len(history.merchants)
