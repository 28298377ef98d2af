"""Simulates card payments, genuine and fraudulent, with accounts that run dry.

Source: the transaction data simulator of the fraud detection handbook; see `population` for the reference. From there
come the rules for who pays where, when and how much, and the three kinds of fraud. The code is our own and works on
whole arrays. What we add is what makes online features matter: balances that move and run out (`ledger`), countries,
categories and channels.

Where we differ from the handbook, and why:
- The radius within which a customer shops follows from how many merchants should lie in it, and the number of
  compromised merchants and stolen cards a day from the size of the population; so small simulations behave as big
  ones. The handbook's figures (radius 5 among 10,000 terminals; 2 terminals of 10,000 and 3 customers of 5,000 a day)
  are for one size. Our rates are somewhat higher, for a fraud rate near 1 %.
- A thief is not bound to where the card's owner lives: stolen cards are used anywhere, and mostly online.
- Nor does he find every card as easily: see `theft_odds`.
- Payments beyond the credit limit are declined, that is, not made.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from model.training.history import (
    COMPROMISED_MERCHANT,
    DAY_MS,
    DAY_S,
    GENUINE,
    LARGE_AMOUNT,
    ONLINE,
    STOLEN_CARD,
    Bools,
    Customers,
    Floats,
    History,
    Ints,
    Merchants,
    Transactions,
    last_midnight,
)
from model.training.ledger import draw_deposits, keep_books
from model.training.population import MAP_SIZE, draw_customers, draw_merchants

LARGE_CENTS: Final = 22_000
"""Above this every payment is fraudulent. Source: the handbook's scenario 1."""
COMPROMISED_DAYS: Final = 28
"""How long a merchant stays compromised. Source: the handbook's scenario 2."""
STOLEN_DAYS: Final = 14
"""How long a stolen card is used. Source: the handbook's scenario 3."""
STOLEN_SHARE: Final = 1 / 3
"""The thief's share of the card's payments meanwhile. Source: the handbook's scenario 3."""
STOLEN_FACTOR: Final = 5
"""How many times more a thief spends. Source: the handbook's scenario 3."""
STOLEN_ONLINE_SHARE: Final = 0.75

# Share of chip, contactless and online payments by category, in the order of CHANNELS and CATEGORIES.
_CHANNEL_SHARES: Final = np.array(
    [
        [0.32, 0.63, 0.05],
        [0.45, 0.54, 0.01],
        [0.35, 0.55, 0.10],
        [0.30, 0.30, 0.40],
        [0.35, 0.10, 0.55],
        [0.15, 0.05, 0.80],
        [0.00, 0.02, 0.98],
        [0.65, 0.10, 0.25],
    ]
)
_CUSTOMERS_AT_ONCE: Final = 1024  # bounds the table of distances to every merchant


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """Everything a simulation depends on: equal configurations give equal histories.

    Attributes:
        customers: Number of card holders.
        merchants: Number of merchants.
        days: Length of the history.
        seed: Where all chance comes from.
        end_s: Unix seconds at which the history ends; only event times depend on it.
        merchants_nearby: Expected number of merchants within a customer's reach.
        compromised_per_day: Share of all merchants that are newly compromised each day.
        stolen_per_day: Share of all cards that are newly stolen each day.
    """

    customers: int = 2_000
    merchants: int = 1_000
    days: int = 120
    seed: int = 2024
    end_s: int = field(default_factory=last_midnight)
    merchants_nearby: float = 50.0
    compromised_per_day: float = 0.0002
    stolen_per_day: float = 0.001

    def __post_init__(self) -> None:
        if min(self.customers, self.merchants, self.days) < 1:
            raise ValueError("a simulation needs at least one customer, one merchant and one day")


def simulate(config: SimulationConfig) -> History:
    """The history that `config` describes."""
    people, places, genuine, fraud, salaries = np.random.default_rng(config.seed).spawn(5)
    customers = draw_customers(people, config.customers)
    merchants = draw_merchants(places, config.merchants)
    attempts = draw_purchases(genuine, config, customers, merchants)
    attempts = add_fraud(fraud, config, attempts, theft_odds(customers))
    deposits = draw_deposits(salaries, customers, config.days)
    transactions, ledger = keep_books(customers, deposits, attempts)
    declined = len(attempts) - len(transactions)
    return History(config.end_s, config.days, customers, merchants, transactions, ledger, declined)


def draw_purchases(
    rng: np.random.Generator, config: SimulationConfig, customers: Customers, merchants: Merchants
) -> Transactions:
    """What the customers themselves would buy, fraud and limits aside; by customer and day.

    Source: the handbook: payments a day are Poisson; the time of day is normal around noon with a standard deviation
    of 20,000 s, and those that fall outside the day are dropped; amounts are normal with a standard deviation of half
    the mean, and negative ones are drawn again, uniformly up to twice the mean.
    """
    visits = rng.poisson(customers.payments_per_day[:, None], (len(customers), config.days))
    customer, day = np.divmod(np.repeat(np.arange(visits.size), visits.ravel()), config.days)
    second = rng.normal(DAY_S / 2, 20_000, len(customer))
    within = (second > 0) & (second < DAY_S)
    customer, day, second = customer[within], day[within], second[within]
    mean = customers.mean_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    merchant = _nearby_merchants(rng, config, customers, merchants, customer)
    return Transactions(
        time_ms=day * DAY_MS + (second * 1000).astype(np.int64),
        customer=customer,
        merchant=merchant,
        cents=np.maximum(np.round(amount * 100).astype(np.int64), 1),
        channel=_channels(rng, merchants.category[merchant]),
        scenario=np.full(len(customer), GENUINE),
    )


def add_fraud(rng: np.random.Generator, config: SimulationConfig, genuine: Transactions, odds: Floats) -> Transactions:
    """The payments with the three kinds of fraud laid over them; where two meet the later one names it.

    Source: the handbook's scenarios: (1) every payment above 220; (2) some merchants a day become compromised, and
    all their payments of the next 28 days are fraudulent; (3) some cards a day are stolen, and of the payments of the
    next 14 days a third is the thief's, at five times the amount.
    """
    day = genuine.time_ms // DAY_MS
    even = np.full(config.merchants, 1 / config.merchants)
    compromised = _campaigns(rng, config.days, even, per_day=config.compromised_per_day, length=COMPROMISED_DAYS)
    stolen = _campaigns(rng, config.days, odds, per_day=config.stolen_per_day, length=STOLEN_DAYS)
    thief = stolen[genuine.customer, day] & (rng.random(len(genuine)) < STOLEN_SHARE)
    anywhere = rng.integers(0, config.merchants, len(genuine))
    online = thief & (rng.random(len(genuine)) < STOLEN_ONLINE_SHARE)
    scenario = genuine.scenario.copy()
    scenario[genuine.cents > LARGE_CENTS] = LARGE_AMOUNT
    scenario[compromised[genuine.merchant, day]] = COMPROMISED_MERCHANT
    scenario[thief] = STOLEN_CARD
    return Transactions(
        genuine.time_ms,
        genuine.customer,
        np.where(thief, anywhere, genuine.merchant),
        np.where(thief, genuine.cents * STOLEN_FACTOR, genuine.cents),
        np.where(online, ONLINE, genuine.channel),
        scenario,
    )


def theft_odds(customers: Customers) -> Floats:
    """Chance of each card to be the next one stolen; sums to 1; shape `(n_customers,)`.

    Made up: the less thrifty, the likelier, by up to about a hundred times. With the handbook's even odds a balance
    would say next to nothing about fraud, and a demo of online features should show a score that follows it.
    """
    weight: Floats = (1.25 - customers.thrift) ** 3
    return weight / float(weight.sum())


def _campaigns(rng: np.random.Generator, days: int, odds: Floats, *, per_day: float, length: int) -> Bools:
    """On which days which entities are in fraudsters' hands; shape `(entities, days)`.

    New ones come evenly (0.3 a day is three in ten days), so that small simulations are not left without any.

    Args:
        rng: Decides whom it hits.
        days: Length of the history.
        odds: Chance of each entity to be next; sums to 1; shape `(entities,)`.
        per_day: Share of all entities that is newly hit each day.
        length: For how many days.
    """
    begun = np.floor(np.arange(days + 1) * len(odds) * per_day).astype(np.int64)
    taken = np.zeros((len(odds), days), dtype=np.bool_)
    for day, count in enumerate(np.diff(begun).tolist()):
        taken[rng.choice(len(odds), count, replace=False, p=odds), day : day + length] = True
    return taken


def _nearby_merchants(
    rng: np.random.Generator,
    config: SimulationConfig,
    customers: Customers,
    merchants: Merchants,
    customer: Ints,
) -> Ints:
    """A merchant for each payment, uniform among those within its customer's reach; the nearest always is."""
    radius = MAP_SIZE * np.sqrt(config.merchants_nearby / (np.pi * len(merchants)))
    reachable: list[Ints] = []
    counts: list[Ints] = []
    for first in range(0, len(customers), _CUSTOMERS_AT_ONCE):
        here = customers.position[first : first + _CUSTOMERS_AT_ONCE, None]
        distance = np.linalg.norm(here - merchants.position[None], axis=2)
        within = distance <= np.maximum(distance.min(axis=1, keepdims=True), radius)
        reachable.append(np.nonzero(within)[1])
        counts.append(within.sum(axis=1))
    count = np.concatenate(counts)
    first_of = np.cumsum(count) - count
    chosen = first_of[customer] + (rng.random(len(customer)) * count[customer]).astype(np.int64)
    nearby: Ints = np.concatenate(reachable)[chosen]
    return nearby


def _channels(rng: np.random.Generator, category: Ints) -> Ints:
    upto = np.cumsum(_CHANNEL_SHARES, axis=1)[category, :-1]
    channel: Ints = (rng.random(len(category))[:, None] >= upto).sum(axis=1)
    return channel
