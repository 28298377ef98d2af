"""Draws the people and the places of the simulation.

Source: Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook", chapter 3, section "Transaction data simulator"
(https://fraud-detection-handbook.github.io/fraud-detection-handbook/Chapter_3_GettingStarted/SimulatedDataset.html):
positions uniform on a map of 100 x 100, mean amounts uniform in 5 to 100, payments a day uniform in 0 to 4. Countries,
categories, incomes, balances and credit limits are our own additions.
"""

from typing import Final

import numpy as np

from model.training.history import CATEGORIES, COUNTRIES, DAY_MS, Customers, Floats, Ints, Merchants

MAP_SIZE: Final = 100.0

# One capital per country, in the order of COUNTRIES. Whoever lives nearest to a capital lives in its country, so
# most payments are made at home and those abroad mean something.
_CAPITALS: Final = np.array([[45, 50], [60, 80], [30, 20], [85, 50], [62, 32], [12, 75]], dtype=np.float64)

# How common each category is, in the order of CATEGORIES.
_CATEGORY_SHARES: Final = np.array([0.28, 0.12, 0.18, 0.14, 0.09, 0.06, 0.10, 0.03])


def draw_customers(rng: np.random.Generator, count: int) -> Customers:
    """Card holders whose income is of the order of what they spend, so that some of them run out of money."""
    position = rng.uniform(0.0, MAP_SIZE, (count, 2))
    mean_amount = rng.uniform(5.0, 100.0, count)
    payments_per_day = rng.uniform(0.0, 4.0, count)
    thrift = rng.uniform(0.0, 1.0, count)
    spending = 30 * mean_amount * payments_per_day
    # The floor keeps those who hardly pay by card from having hardly any income.
    income = np.maximum(spending * (0.95 + 0.4 * thrift), 600.0)
    pay_every_days = rng.choice(np.array([7, 14, 30]), count, p=[0.15, 0.15, 0.70])
    limit = np.maximum(np.round(income * rng.uniform(0.3, 1.2, count), -2), 300.0)
    return Customers(
        position=position,
        home_country=_country_of(position),
        thrift=thrift,
        mean_amount=mean_amount,
        payments_per_day=payments_per_day,
        monthly_income_cents=_cents(income),
        pay_every_days=pay_every_days,
        first_pay_day=rng.integers(0, pay_every_days),
        opening_balance_cents=_cents(income * (0.1 + 2.4 * thrift**2)),
        credit_limit_cents=_cents(limit),
        age_ms=(rng.uniform(30, 5000, count) * DAY_MS).astype(np.int64),
    )


def draw_merchants(rng: np.random.Generator, count: int) -> Merchants:
    """Merchants all over the map."""
    position = rng.uniform(0.0, MAP_SIZE, (count, 2))
    category = rng.choice(len(CATEGORIES), count, p=_CATEGORY_SHARES)
    return Merchants(position, _country_of(position), category)


def _country_of(position: Floats) -> Ints:
    nearest: Ints = np.linalg.norm(position[:, None] - _CAPITALS[None], axis=2).argmin(axis=1)
    assert nearest.max(initial=0) < len(COUNTRIES)  # noqa: S101  # ties the two tables together
    return nearest


def _cents(euro: Floats) -> Ints:
    return np.round(euro * 100).astype(np.int64)
