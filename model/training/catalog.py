"""The demo's catalog: its views, its request fields and the model's features, in the model's order.

`serving.yaml`, the training matrix, the golden lines and the store's rows are all made from these tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.spec import MISSING_CATEGORY
from features.transforms import BUILT_IN
from features.values import DType, Value
from model.training.features_in_time import ViewState
from model.training.history import Ints, customer_names, merchant_names

BY_CUSTOMER: Final = "customer"
BY_MERCHANT: Final = "merchant"

KEY_OF: Final[Mapping[str, str]] = MappingProxyType({BY_CUSTOMER: "customer_id", BY_MERCHANT: "merchant_id"})
_NAMES_OF: Final[Mapping[str, Callable[[Ints], Sequence[str]]]] = MappingProxyType(
    {BY_CUSTOMER: customer_names, BY_MERCHANT: merchant_names}
)


@dataclass(frozen=True, slots=True)
class View:
    """A feature view of the demo.

    Attributes:
        entity: Whose values it holds.
        columns: Types by column name.
        about: One sentence for the reader of `serving.yaml`.
    """

    entity: str
    columns: Mapping[str, DType]
    about: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the model; exactly one of `column`, `request` and `derive` says where it comes from.

    Attributes:
        name: The model's name for it.
        column: View and column.
        request: Request field.
        derive: Transform and the names of its inputs, which come earlier in the list.
        dtype: Its type.
        default: What stands in for an absent value where `absent` says so.
        absent: Policies that differ from the shipped ones, by what is the matter with the value.
    """

    name: str
    column: tuple[str, str] | None = None
    request: str | None = None
    derive: tuple[str, tuple[str, ...]] | None = None
    dtype: DType = DType.FLOAT
    default: int | None = None
    absent: Mapping[str, str] = field(default_factory=dict)


_FLOAT, _INT, _STRING = DType.FLOAT, DType.INT, DType.STRING

VIEWS: Final[Mapping[str, View]] = MappingProxyType(
    {
        "customer_account": View(
            BY_CUSTOMER,
            {"balance": _FLOAT, "credit_limit": _FLOAT, "account_age_days": _INT, "home_country": _STRING},
            "The account as the bank's ledger has it; written at every payment and deposit.",
        ),
        "customer_activity": View(
            BY_CUSTOMER,
            {
                **{f"txn_count_{days}d": _INT for days in (1, 7, 30)},
                **{f"mean_amount_{days}d": _FLOAT for days in (1, 7, 30)},
            },
            "The customer's payments of the last 1, 7 and 30 days; a mean over no payments is null.",
        ),
        "merchant_risk": View(
            BY_MERCHANT,
            {
                **{f"txn_count_{days}d": _INT for days in (1, 7, 30)},
                **{f"fraud_rate_{days}d": _FLOAT for days in (1, 7, 30)},
                "category": _STRING,
                "country": _STRING,
            },
            "The merchant's payments, and the share of frauds among those old enough (7 days) to be labelled.",
        ),
    }
)

REQUEST: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {"amount": {"dtype": "float", "minimum": 0}, "channel": {"dtype": "string"}}
)


def _activity_count(days: int) -> Feature:
    column = f"txn_count_{days}d"
    none = {"not_found": "default", "null": "default"}
    return Feature(column, ("customer_activity", column), dtype=_INT, default=0, absent=none)


def _activity_mean(days: int) -> Feature:
    column = f"mean_amount_{days}d"
    return Feature(column, ("customer_activity", column), absent={"not_found": "missing"})


def _merchant(name: str, column: str, dtype: DType = _FLOAT) -> Feature:
    return Feature(name, ("merchant_risk", column), dtype=dtype)


def _ratio(name: str, numerator: str, denominator: str) -> Feature:
    return Feature(name, derive=("ratio", (numerator, denominator)))


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("amount", request="amount"),
    Feature("channel", request="channel", dtype=_STRING),
    Feature("balance", ("customer_account", "balance")),
    Feature("credit_limit", ("customer_account", "credit_limit")),
    Feature("account_age_days", ("customer_account", "account_age_days"), dtype=_INT),
    Feature("home_country", ("customer_account", "home_country"), dtype=_STRING),
    *(_activity_count(days) for days in (1, 7, 30)),
    *(_activity_mean(days) for days in (1, 7, 30)),
    *(_merchant(f"merchant_txn_count_{days}d", f"txn_count_{days}d", _INT) for days in (1, 7, 30)),
    *(_merchant(f"merchant_fraud_rate_{days}d", f"fraud_rate_{days}d") for days in (1, 7, 30)),
    _merchant("merchant_category", "category", _STRING),
    _merchant("merchant_country", "country", _STRING),
    _ratio("amount_to_balance", "amount", "balance"),
    _ratio("amount_to_limit", "amount", "credit_limit"),
    _ratio("amount_to_mean_7d", "amount", "mean_amount_7d"),
    _ratio("amount_to_mean_30d", "amount", "mean_amount_30d"),
)

CATEGORICAL: Final = tuple(feature.name for feature in FEATURES if feature.dtype is DType.STRING)


def feature_frame(states: Mapping[str, ViewState], request: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """The model's input: one column per feature in the model's order, one row per payment.

    Args:
        states: Each view's values, by the view's name; equally many rows in each.
        request: Request fields by name; amounts already rounded to float32.

    Returns:
        float64 columns with NaN for missing, and categorical columns with `MISSING_CATEGORY`.
    """
    made: dict[str, NDArray[Any]] = {}
    for feature in FEATURES:
        if feature.derive is not None:
            transform, inputs = feature.derive
            made[feature.name] = BUILT_IN[transform](*(made[name] for name in inputs))
            continue
        values = _given(feature, states, request)
        made[feature.name] = values if feature.dtype is _STRING else values.astype(np.float64)
    return pd.DataFrame({name: _categories(v) if name in CATEGORICAL else v for name, v in made.items()})


def store_rows(view: str, state: ViewState) -> Iterator[tuple[str, dict[str, Value], float]]:
    """The key, the values as Python's own types (None for null) and the event time of each row of a view."""
    columns = [_native(values) for values in state.columns.values()]
    keys = _NAMES_OF[VIEWS[view].entity](state.entity)
    for key, event_time, *values in zip(keys, state.event_time_s.tolist(), *columns, strict=True):
        yield key, dict(zip(state.columns, values, strict=True)), event_time


def _given(feature: Feature, states: Mapping[str, ViewState], request: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if feature.column is not None:
        view, column = feature.column
        return states[view].columns[column]
    assert feature.request is not None  # noqa: S101  # the third of three; FEATURES is a constant of ours
    return request[feature.request]


def _categories(values: NDArray[Any]) -> pd.Categorical:
    return pd.Categorical([MISSING_CATEGORY if value is None else value for value in values.tolist()])


def _native(values: NDArray[Any]) -> list[Value]:
    plain: list[Value] = values.tolist()
    return [None if value != value else value for value in plain]  # noqa: PLR0124  # only NaN differs from itself
