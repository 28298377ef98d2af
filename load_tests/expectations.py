"""What the model must be told about an entity, given what the store holds about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from load_tests.catalogue import Catalogue, Feature
from load_tests.stored_rows import Row


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of a request.

    Attributes:
        entity_id: As a detailed answer must show it.
        key_of: View to key.
        fields: What the caller sent beside the keys.
    """

    entity_id: Any
    key_of: Mapping[str, str]
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, catalogue: Catalogue, instance: Any) -> "Case":
        """The case that an instance asks about; load tests send a bare key or an object."""
        sent = instance if isinstance(instance, dict) else {catalogue.keys[0]: instance}
        keys = {name: sent[name] for name in catalogue.keys}
        return cls(
            entity_id=keys if len(keys) > 1 else next(iter(keys.values())),
            key_of={view.name: keys[view.keys[0]] for view in catalogue.views.values()},
            fields={name: sent[name] for name in catalogue.fields},
        )


def status_of(feature: Feature, row: Row | None) -> str:
    """What the store says about a feature, if it holds this row."""
    if row is None:
        return "NOT_FOUND"
    return "NULL" if row.get(feature.column) is None else "PRESENT"


def expected_values(
    catalogue: Catalogue, case: Case, rows: Mapping[str, Row | None]
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The model's inputs by name, and each stored feature's status.

    The inputs are None where the entity cannot be scored from these rows.
    """
    values: dict[str, Any] = {}
    statuses: dict[str, str] = {}
    for feature in catalogue.features:
        if feature.field is not None:
            values[feature.name] = as_sent(feature, case)
        elif feature.view is not None and feature.absent is not None:
            row = rows[feature.view]
            status = statuses[feature.name] = status_of(feature, row)
            if status == "PRESENT" and row is not None:
                values[feature.name] = row[feature.column]
            elif feature.absent[status] == "fail":
                return None, statuses
            else:
                values[feature.name] = feature.default if feature.absent[status] == "default" else None
    for feature in catalogue.features:
        if feature.derive is not None:
            values[feature.name] = derived(feature, values)
    return values, statuses


def as_sent(feature: Feature, case: Case) -> Any:
    """A request's value as the model sees it: text as it is, a number as float32."""
    assert feature.field is not None  # noqa: S101  # asked of features of the request only
    sent = case.fields[feature.field]
    return sent if feature.text else float(np.float32(sent))


def derived(feature: Feature, values: Mapping[str, Any]) -> float | None:
    """The value of a derived feature; the load tests know `ratio`, which is what the demo has."""
    assert feature.derive is not None  # noqa: S101  # asked of derived features only
    function, inputs = feature.derive
    if function != "ratio":
        raise ValueError(f"the oracle knows ratios, not {function!r}: teach it, or load-test another bundle")
    numerator, denominator = (values[name] for name in inputs)
    if numerator is None or denominator is None or denominator == 0:
        return None
    return float(numerator / denominator)


def defaulted_of(catalogue: Catalogue, statuses: Mapping[str, str]) -> int:
    """How many declared defaults stand for absent values."""
    return sum(
        feature.absent[statuses[feature.name]] == "default"
        for feature in catalogue.features
        if feature.absent is not None and statuses[feature.name] != "PRESENT"
    )
