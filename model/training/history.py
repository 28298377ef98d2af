"""What the simulated bank has on record: who its customers and merchants are, and everything that happened.

Time is counted in whole milliseconds since the start of the history, money in whole cents: sums over windows are
then exact, and a history is the same whatever date it is anchored at. Entities are numbered from 0; names such as
"C00017" are given on the way out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.clock import SystemClock

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DAY_S: Final = 86_400
DAY_MS: Final = 1000 * DAY_S
CENTS: Final = 100.0

COUNTRIES: Final = ("BE", "NL", "FR", "DE", "LU", "GB")
CATEGORIES: Final = ("grocery", "fuel", "restaurant", "fashion", "electronics", "travel", "digital", "luxury")
CHANNELS: Final = ("chip", "contactless", "online")
ONLINE: Final = CHANNELS.index("online")

GENUINE: Final = 0
LARGE_AMOUNT: Final = 1
COMPROMISED_MERCHANT: Final = 2
STOLEN_CARD: Final = 3


def last_midnight() -> int:
    """Unix seconds of the last midnight in UTC."""
    return int(SystemClock().wall()) // DAY_S * DAY_S


@dataclass(frozen=True, slots=True)
class Customers:
    """Card holders, one element of each array per customer; shape `(n_customers,)`.

    Attributes:
        position: On a map of 100 x 100; shape `(n_customers, 2)`.
        home_country: Index into `COUNTRIES`.
        thrift: From 0, who lives from one salary to the next, to 1, who saves a quarter of it.
        mean_amount: Mean of the customer's payments, in euro.
        payments_per_day: Mean number of payments a day.
        monthly_income_cents: What is paid in over 30 days, in cents.
        pay_every_days: Days between two deposits.
        first_pay_day: Day of the first deposit, counted from 0.
        opening_balance_cents: Balance at the start of the history.
        credit_limit_cents: How far below zero the balance may go; positive.
        age_ms: How old the account was at the start of the history.
    """

    position: Floats
    home_country: Ints
    thrift: Floats
    mean_amount: Floats
    payments_per_day: Floats
    monthly_income_cents: Ints
    pay_every_days: Ints
    first_pay_day: Ints
    opening_balance_cents: Ints
    credit_limit_cents: Ints
    age_ms: Ints

    def __len__(self) -> int:
        return len(self.mean_amount)


@dataclass(frozen=True, slots=True)
class Merchants:
    """Where cards are used, one element of each array per merchant; shape `(n_merchants,)`.

    Attributes:
        position: On the same map as the customers; shape `(n_merchants, 2)`.
        country: Index into `COUNTRIES`.
        category: Index into `CATEGORIES`.
    """

    position: Floats
    country: Ints
    category: Ints

    def __len__(self) -> int:
        return len(self.country)


@dataclass(frozen=True, slots=True)
class Transactions:
    """Payments, one element of each array per payment, in order of time; shape `(n,)`.

    Attributes:
        time_ms: Milliseconds since the start of the history.
        customer: Who paid.
        merchant: Who was paid.
        cents: How much, in cents; at least 1.
        channel: Index into `CHANNELS`.
        scenario: `GENUINE`, or why the payment is fraudulent.
    """

    time_ms: Ints
    customer: Ints
    merchant: Ints
    cents: Ints
    channel: Ints
    scenario: Ints

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def fraud(self) -> Bools:
        """Whether each payment is fraudulent."""
        fraudulent: Bools = self.scenario != GENUINE
        return fraudulent

    @property
    def amount(self) -> Floats:
        """The amounts in euro as a request carries them: rounded to float32, as the service does when it parses."""
        return (self.cents / CENTS).astype(np.float32).astype(np.float64)

    def take(self, rows: Ints | Bools) -> "Transactions":
        """The payments at `rows`, in that order."""
        return Transactions(
            self.time_ms[rows],
            self.customer[rows],
            self.merchant[rows],
            self.cents[rows],
            self.channel[rows],
            self.scenario[rows],
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that moved a balance, by customer and then by time; shape `(n_entries,)`.

    Attributes:
        customer: Whose account.
        time_ms: Milliseconds since the start; no two entries of one customer share a moment.
        change_cents: Positive for a deposit, negative for a payment.
        balance_cents: The balance after the entry.
    """

    customer: Ints
    time_ms: Ints
    change_cents: Ints
    balance_cents: Ints


@dataclass(frozen=True, slots=True)
class History:
    """The simulated past, up to a moment called `end`.

    Attributes:
        end_s: Unix seconds at which the history ends.
        days: How long it is.
        customers: The card holders.
        merchants: Where cards were used.
        transactions: Payments that were made, in order of time.
        ledger: Payments and deposits with the balances they led to.
        declined: How many payments were refused because they would have broken a credit limit.
    """

    end_s: int
    days: int
    customers: Customers
    merchants: Merchants
    transactions: Transactions
    ledger: Ledger
    declined: int

    @property
    def end_ms(self) -> int:
        """The end, in milliseconds since the start."""
        return self.days * DAY_MS

    def unix_s(self, time_ms: Ints) -> Floats:
        """Milliseconds since the start as Unix seconds."""
        start_ms = self.end_s * 1000 - self.end_ms
        return (start_ms + time_ms) / 1000.0


def customer_names(numbers: Ints) -> Sequence[str]:
    """Keys as callers know them: "C00017" for customer 17."""
    return [f"C{number:05d}" for number in numbers.tolist()]


def merchant_names(numbers: Ints) -> Sequence[str]:
    """Keys as callers know them: "M00042" for merchant 42."""
    return [f"M{number:05d}" for number in numbers.tolist()]
