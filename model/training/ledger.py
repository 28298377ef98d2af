"""Moves balances: deposits come in, payments go out, and a payment that would break the credit limit is declined.

Whether a payment is declined depends on every payment before it, so this cannot be one cumulative sum. It is done in
rounds instead: round j handles the j-th event of every customer at once, which takes as many steps as the busiest
customer has events rather than as many as there are events.
"""

import numpy as np

from model.training.history import DAY_MS, Bools, Customers, Floats, Ints, Ledger, Transactions

_SIX_IN_THE_MORNING_MS = DAY_MS // 4


def draw_deposits(rng: np.random.Generator, customers: Customers, days: int) -> tuple[Ints, Ints, Ints]:
    """Salaries: the monthly income, give or take 5 %, divided by how often it is paid.

    Returns:
        Customer, milliseconds since the start, and cents of each deposit; each of shape `(n_deposits,)`.
    """
    rounds = np.arange(-(-days // int(customers.pay_every_days.min())))
    day = customers.first_pay_day[:, None] + rounds * customers.pay_every_days[:, None]
    customer, nth = np.nonzero(day < days)
    share = customers.pay_every_days[customer] / 30
    cents = customers.monthly_income_cents[customer] * share * rng.normal(1.0, 0.05, len(customer))
    return customer, day[customer, nth] * DAY_MS + _SIX_IN_THE_MORNING_MS, _whole(np.maximum(cents, 1))


def keep_books(
    customers: Customers, deposits: tuple[Ints, Ints, Ints], attempts: Transactions
) -> tuple[Transactions, Ledger]:
    """The payments that were made, in order of time, and the ledger of all that moved a balance.

    Args:
        customers: Opening balances and credit limits.
        deposits: Customer, time and cents, as `draw_deposits` returns them.
        attempts: Payments as customers and thieves would like them.
    """
    paid_in = len(deposits[0])
    customer = np.concatenate([deposits[0], attempts.customer])
    time_ms = np.concatenate([deposits[1], attempts.time_ms])
    change = np.concatenate([deposits[2], -attempts.cents])
    order = np.lexsort((time_ms, customer))
    customer, time_ms, change = customer[order], one_at_a_time(customer[order], time_ms[order]), change[order]
    balance, made = _settle(customers, customer, change)
    is_payment = order >= paid_in
    ledger = Ledger(customer[made], time_ms[made], change[made], balance[made])
    rows = np.flatnonzero(made & is_payment)
    # In order of time; the customer decides between payments of one millisecond.
    rows = rows[np.lexsort((customer[rows], time_ms[rows]))]
    taken = attempts.take(order[rows] - paid_in)
    payments = Transactions(time_ms[rows], taken.customer, taken.merchant, taken.cents, taken.channel, taken.scenario)
    return payments, ledger


def one_at_a_time(customer: Ints, time_ms: Ints) -> Ints:
    """The times, moved by as few milliseconds as make those of one customer strictly increase.

    "The state before a payment" is then one state, never a matter of sorting.

    Args:
        customer: Sorted; shape `(n,)`.
        time_ms: Sorted within each customer; shape `(n,)`.
    """
    # Far enough apart that pushing one customer's events back never reaches the next customer's.
    apart = int(time_ms.max(initial=0)) + len(time_ms) + 1
    step = np.arange(len(time_ms))
    unique = np.maximum.accumulate(customer * apart + time_ms - step) + step
    return unique - customer * apart


def _settle(customers: Customers, customer: Ints, change: Ints) -> tuple[Ints, Bools]:
    """Balance after each event, and whether the event took place; events sorted by customer and time."""
    events = np.bincount(customer, minlength=len(customers))
    first = np.concatenate([[0], np.cumsum(events)[:-1]])
    busiest = np.argsort(-events, kind="stable")  # so that those with a j-th event are always a prefix
    still_busy = np.searchsorted(-events[busiest], -np.arange(events.max(initial=0)), side="left")
    balance = customers.opening_balance_cents[busiest]
    floor = -customers.credit_limit_cents[busiest]
    after = np.empty(len(change), dtype=np.int64)
    made = np.empty(len(change), dtype=np.bool_)
    for j, count in enumerate(still_busy.tolist()):
        rows = first[busiest[:count]] + j
        moved = balance[:count] + change[rows]
        allowed = (change[rows] > 0) | (moved >= floor[:count])
        balance[:count] = np.where(allowed, moved, balance[:count])
        after[rows] = balance[:count]
        made[rows] = allowed
    return after, made


def _whole(values: Floats) -> Ints:
    return np.round(values).astype(np.int64)
