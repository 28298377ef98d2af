"""The story of each value that was used: what the store said, where it came from, how old it is. Pure."""

from typing import Final, NamedTuple

import numpy as np

from features.judging import Assembly, Substitute
from features.spec import DerivedFeature, RequestFeature, Spec, StoredFeature
from features.values import DType, Retrieved, RowLayout, Source, Status, Value

_FROM_BEST_TO_WORST: Final = (Status.PRESENT, Status.NULL, Status.OUTSIDE_MAX_AGE, Status.NOT_FOUND, Status.ERROR)


class UsedValue(NamedTuple):
    """One feature of one instance as the model saw it. A tuple, because a request makes many thousands of them.

    Attributes:
        value: The value; None where the model was told "missing".
        status: What the store said.
        source: Where the value came from.
        age_s: Seconds since the event time of what the store holds; None if it gives none.
        cached_s: Seconds since the read that brought it; None where no read did.
        masked: Whether the value was used but is not shown, and so None here.
    """

    value: Value
    status: Status
    source: Source
    age_s: float | None = None
    cached_s: float | None = None
    masked: bool = False


def explain(spec: Spec, assembly: Assembly, index: int) -> dict[str, UsedValue]:
    """Every feature of instance number `index`, by name, in the model's order; sensitive values are left out."""
    used: dict[int, UsedValue] = {}
    by_view = [assembly.used(view, index) for view in range(len(spec.views))]
    for at, feature in enumerate(spec.features):
        if isinstance(feature, StoredFeature):
            one, substitutes = by_view[feature.view]
            used[at] = _stored(spec.views[feature.view].layout, feature, one, substitutes.get(at), assembly)
        elif isinstance(feature, RequestFeature):
            sent = assembly.instances.fields[feature.field][index]
            used[at] = UsedValue(_shown(sent, feature.dtype), Status.PRESENT, Source.REQUEST)
    for at in spec.derivation_order:
        used[at] = _derived(spec, assembly, index, at, used)
    for at in spec.sensitive:
        used[at] = used[at]._replace(value=None, masked=True)
    return {feature.name: used[at] for at, feature in enumerate(spec.features)}


def _stored(
    layout: RowLayout, feature: StoredFeature, one: Retrieved, substitute: Substitute | None, assembly: Assembly
) -> UsedValue:
    age_s = cached_s = None
    if one.error is None:
        cached_s = max(0.0, assembly.now - one.read_at)
    if one.row is not None:
        event_time = layout.event_time(one.row, feature.column)
        # an event time in the future is a clock that runs ahead, not a value from the future
        age_s = None if event_time is None else max(0.0, assembly.wall - event_time)
    if substitute is not None:
        return UsedValue(substitute.value, substitute.status, substitute.source, age_s, cached_s)
    value = None if one.row is None else layout.value(one.row, feature.column)
    if value is None:  # a null that is just missing: the row says it itself
        return UsedValue(None, Status.NULL, Source.MISSING, age_s, cached_s)
    # fresh when it was looked up, but then a read of another view, or a turn, was waited for
    late = one.source is Source.CACHE and assembly.now >= one.fresh_until
    return UsedValue(value, Status.PRESENT, Source.STALE if late else one.source, age_s, cached_s)


def _derived(spec: Spec, assembly: Assembly, index: int, at: int, used: dict[int, UsedValue]) -> UsedValue:
    feature = spec.features[at]
    assert isinstance(feature, DerivedFeature)  # noqa: S101  # `derivation_order` holds no other; for the type checker
    number = float(assembly.numeric[index, assembly.columns[at]])
    value = None if np.isnan(number) else number
    statuses = [used[position].status for position in feature.inputs]
    # A division by zero has present inputs and yet no value; where the value is masked, to say so would tell it.
    if value is None and at not in spec.sensitive:
        statuses.append(Status.NULL)
    return UsedValue(value, max(statuses, key=_FROM_BEST_TO_WORST.index), Source.DERIVED)


def _shown(value: Value, dtype: DType) -> Value:
    """A request's float as the shortest decimal that rounds to the same float32: 12.34, not 12.34000015258789.

    Sent again, it gives the same score.
    """
    return float(str(np.float32(value))) if dtype is DType.FLOAT and value is not None else value
