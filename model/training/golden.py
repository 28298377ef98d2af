"""Golden lines: recorded requests with the rows they met and the scores they got.

Each line stands alone: the service's self-test scores it at start without any store. All lines together fit into one
store as well, because no customer and no merchant appears twice.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from model.training.catalog import BY_CUSTOMER, BY_MERCHANT, KEY_OF, store_rows
from model.training.features_in_time import ViewState
from model.training.history import CHANNELS, Bools, Floats, Ints, Transactions, customer_names, merchant_names

LINES: Final = 240
MIN_LINES: Final = 200
_BINS: Final = 8


class TooFewLines(ValueError):
    """The test period has too few distinct customers or merchants for the golden lines."""


def choose(rng: np.random.Generator, transactions: Transactions, scores: Floats, incomplete: Bools) -> Ints:
    """Rows of payments to record, in order of time: all kinds of them, no customer and no merchant twice.

    Kinds are: bins of the score (evenly wide in log odds, so that the few suspicious ones count as much as the many
    others), each apart for fraud and genuine, and rows with null values. They take turns until `LINES` are found.

    Args:
        rng: Decides between payments of a kind.
        transactions: The payments of the test period.
        scores: Probability of fraud of each; shape `(n,)`.
        incomplete: Whether a feature of it was null; shape `(n,)`.

    Raises:
        TooFewLines: Fewer than `MIN_LINES` can be found.
    """
    inside = np.clip(scores, 1e-12, 1 - 1e-12)
    log_odds = np.log(inside / (1 - inside))
    edges = np.linspace(log_odds.min(), log_odds.max(), _BINS + 1)[1:-1]
    kind = np.digitize(log_odds, edges) * 4 + transactions.fraud * 2 + incomplete
    chosen: list[int] = []
    customers: set[int] = set()
    merchants: set[int] = set()
    for row in _taking_turns(rng, kind).tolist():
        customer, merchant = int(transactions.customer[row]), int(transactions.merchant[row])
        if customer in customers or merchant in merchants:
            continue
        chosen.append(row)
        customers.add(customer)
        merchants.add(merchant)
        if len(chosen) == LINES:
            break
    if len(chosen) < MIN_LINES:
        raise TooFewLines(f"only {len(chosen)} golden lines; simulate at least 300 customers and 250 merchants")
    return np.sort(np.array(chosen))


def lines(transactions: Transactions, states: Mapping[str, ViewState], now_s: Floats, scores: Floats) -> list[str]:
    """One JSON object per payment, in the form that the service's self-test reads.

    Args:
        transactions: The payments to record; n of them.
        states: What each view held just before each payment.
        now_s: Unix seconds of each payment; shape `(n,)`.
        scores: Probabilities by class; shape `(n, n_classes)`.
    """
    rows = {view: list(store_rows(view, state)) for view, state in states.items()}
    instances = _instances(transactions)
    return [
        json.dumps(
            {
                "instance": instance,
                "rows": {view: {"values": found[i][1], "event_time": found[i][2]} for view, found in rows.items()},
                "now": now,
                "scores": probabilities,
            },
            allow_nan=False,
        )
        for i, (instance, now, probabilities) in enumerate(zip(instances, now_s.tolist(), scores.tolist(), strict=True))
    ]


def _instances(transactions: Transactions) -> list[dict[str, Any]]:
    return [
        {KEY_OF[BY_CUSTOMER]: customer, KEY_OF[BY_MERCHANT]: merchant, "amount": amount, "channel": channel}
        for customer, merchant, amount, channel in zip(
            customer_names(transactions.customer),
            merchant_names(transactions.merchant),
            [float(str(amount)) for amount in transactions.amount.astype(np.float32)],  # as a caller writes it: 12.34
            [CHANNELS[code] for code in transactions.channel.tolist()],
            strict=True,
        )
    ]


def _taking_turns(rng: np.random.Generator, kind: Ints) -> Ints:
    """All rows: first one of each kind, then another one of each kind, and so on."""
    shuffled = rng.permutation(len(kind))
    by_kind = shuffled[np.argsort(kind[shuffled], kind="stable")]
    _, first, size = np.unique(kind[by_kind], return_index=True, return_counts=True)
    turn = np.arange(len(kind)) - np.repeat(first, size)
    return by_kind[np.argsort(turn, kind="stable")]
