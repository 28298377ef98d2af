"""The state of each feature view as of any moment: what an online store would have answered just before it.

Training asks for the moment of each payment, the online store's rows are the answer for the history's end; both come
from the same functions, so there is no second definition to drift away. Nothing at or after the moment is looked at,
and a payment's label only becomes known `LABEL_DELAY_MS` after it.

Source: windows and the delay: the fraud detection handbook, chapter 3, section "Baseline feature transformation"
(https://fraud-detection-handbook.github.io/fraud-detection-handbook/Chapter_3_GettingStarted/BaselineFeatureTransformation.html).
There as here the window of a merchant's risk ends where labels begin to be known. Its counts do not need labels, so
ours, unlike the handbook's, run up to the moment itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.training.history import (
    CATEGORIES,
    CENTS,
    COUNTRIES,
    DAY_MS,
    Floats,
    History,
    Ints,
    Transactions,
)
from model.training.windows import Timeline

LABEL_DELAY_DAYS: Final = 7
LABEL_DELAY_MS: Final = LABEL_DELAY_DAYS * DAY_MS
WINDOW_DAYS: Final = (1, 7, 30)

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ViewState:
    """One view's values for many entities, each as of its own moment.

    Attributes:
        entity: Numbers of the customers or merchants; shape `(n,)`.
        columns: Column name to values: float64 with NaN for null, int64, or objects (strings); each of shape `(n,)`.
        event_time_s: Unix seconds at which the state last changed; the start of the history if it never did.
    """

    entity: Ints
    columns: Columns
    event_time_s: Floats


class PointInTime:
    """Answers what was known just before a moment."""

    __slots__ = ("_customers", "_frauds", "_history", "_ledger", "_merchants", "_spent")

    def __init__(self, history: History) -> None:
        events = history.transactions
        self._history = history
        self._customers = Timeline.of(events.customer, events.time_ms, history.end_ms)
        self._merchants = Timeline.of(events.merchant, events.time_ms, history.end_ms)
        self._ledger = Timeline.of(history.ledger.customer, history.ledger.time_ms, history.end_ms)
        self._spent = self._customers.running_total(events.cents)
        self._frauds = self._merchants.running_total(events.fraud.astype(np.int64))

    def before(self, transactions: Transactions) -> Mapping[str, ViewState]:
        """Every view's state just before each payment, by the view's name."""
        return {
            "customer_account": self.customer_account(transactions.customer, transactions.time_ms),
            "customer_activity": self.customer_activity(transactions.customer, transactions.time_ms),
            "merchant_risk": self.merchant_risk(transactions.merchant, transactions.time_ms),
        }

    def latest(self) -> Mapping[str, ViewState]:
        """Every view's state at the end of the history, by the view's name.

        Customers who never paid have no row of activity, as a stream of payments would never have made one.
        """
        customers = np.arange(len(self._history.customers))
        merchants = np.arange(len(self._history.merchants))
        active = np.unique(self._history.transactions.customer)
        end = self._history.end_ms
        return {
            "customer_account": self.customer_account(customers, np.full(len(customers), end)),
            "customer_activity": self.customer_activity(active, np.full(len(active), end)),
            "merchant_risk": self.merchant_risk(merchants, np.full(len(merchants), end)),
        }

    def customer_account(self, customer: Ints, at_ms: Ints) -> ViewState:
        """Balances after everything that moved them before each moment, and what does not move.

        Args:
            customer: Of whom is asked; shape `(n,)`.
            at_ms: The moments; shape `(n,)`.
        """
        who = self._history.customers
        last = self._ledger.latest(customer, at_ms)
        # Entry -1 is read where there is none, and then not used; the extra zero is there for an empty ledger.
        after = np.append(self._history.ledger.balance_cents[self._ledger.order], 0)[last]
        columns: Columns = {
            "balance": np.where(last >= 0, after, who.opening_balance_cents[customer]) / CENTS,
            "credit_limit": who.credit_limit_cents[customer] / CENTS,
            "account_age_days": (who.age_ms[customer] + at_ms) // DAY_MS,
            "home_country": np.array(COUNTRIES, dtype=object)[who.home_country[customer]],
        }
        changed = self._ledger.latest_time(customer, at_ms)
        return self._state(customer, columns, changed)

    def customer_activity(self, customer: Ints, at_ms: Ints) -> ViewState:
        """Number and mean amount of each customer's payments in the days before each moment.

        Args:
            customer: Of whom is asked; shape `(n,)`.
            at_ms: The moments; shape `(n,)`.
        """
        upto = self._customers.before(customer, at_ms)
        columns: dict[str, NDArray[Any]] = {}
        for days in WINDOW_DAYS:
            since = self._customers.before(customer, at_ms - days * DAY_MS)
            columns[f"txn_count_{days}d"] = upto - since
            spent = (self._spent[upto] - self._spent[since]) / CENTS
            columns[f"mean_amount_{days}d"] = _mean(spent, upto - since)
        return self._state(customer, columns, self._customers.latest_time(customer, at_ms))

    def merchant_risk(self, merchant: Ints, at_ms: Ints) -> ViewState:
        """Number of each merchant's payments before each moment, and the share of frauds among those with labels.

        Args:
            merchant: Of whom is asked; shape `(n,)`.
            at_ms: The moments; shape `(n,)`.
        """
        who = self._history.merchants
        upto = self._merchants.before(merchant, at_ms)
        known = self._merchants.before(merchant, at_ms - LABEL_DELAY_MS)
        columns: dict[str, NDArray[Any]] = {}
        for days in WINDOW_DAYS:
            since = self._merchants.before(merchant, at_ms - days * DAY_MS)
            columns[f"txn_count_{days}d"] = upto - since
            since_known = self._merchants.before(merchant, at_ms - LABEL_DELAY_MS - days * DAY_MS)
            frauds = self._frauds[known] - self._frauds[since_known]
            columns[f"fraud_rate_{days}d"] = _mean(frauds.astype(np.float64), known - since_known)
        columns["category"] = np.array(CATEGORIES, dtype=object)[who.category[merchant]]
        columns["country"] = np.array(COUNTRIES, dtype=object)[who.country[merchant]]
        return self._state(merchant, columns, self._merchants.latest_time(merchant, at_ms))

    def _state(self, entity: Ints, columns: Columns, changed_ms: Ints) -> ViewState:
        return ViewState(entity, columns, self._history.unix_s(changed_ms))


def _mean(totals: Floats, counts: Ints) -> Floats:
    """`totals / counts`; NaN, that is null, where nothing was counted."""
    means: Floats = np.divide(totals, counts, out=np.full(len(totals), np.nan), where=counts > 0)
    return means
