"""What a fault does to answers: pure, apart from the fault's own dice.

One function for each kind, over one parsed answer; the two kinds that concern the answer as a whole come first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from features.emulator.answers import Answer
from features.emulator.fault_rules import FaultKind
from features.emulator.faults import Fault
from features.stores.vertex_decoding import set_time
from features.stores.vertex_messages import FetchResponse

OtherAnswer = Callable[[Answer], Answer]
"""An answer for some other entity of the same view."""


def distort(fault: Fault, answers: Sequence[Answer], other: OtherAnswer, now: float) -> list[Answer]:
    """The answers as `fault` leaves them.

    Args:
        fault: A fault that has struck this call.
        answers: Those that the store has.
        other: Where an answer for the wrong entity is taken from.
        now: Unix seconds.
    """
    rule = fault.rule
    if rule.kind is FaultKind.PARTIAL and rule["leave_out"] == "keys":
        return [kept for kept in answers if not fault.touches(kept.key.text) or fault.random.random() >= rule["part"]]
    touched = [answer for answer in answers if fault.touches(answer.key.text)]
    if rule.kind is FaultKind.OVERSIZED:
        touched = touched[:1]  # the message is too big by one row; a hundred such rows would take 400 MiB
    changed = {answer.key.text: _change(fault, answer, other, now) for answer in touched}
    return [changed.get(answer.key.text, answer) for answer in answers]


def _change(fault: Fault, answer: Answer, other: OtherAnswer, now: float) -> Answer:
    if fault.rule.kind is FaultKind.WRONG_ENTITY:
        wrong = other(answer)
        return Answer(answer.key, wrong.body) if fault.rule["disguised"] else wrong
    change = _CHANGES.get(fault.rule.kind)
    if change is None:
        return answer
    response = FetchResponse.FromString(answer.body)
    change(fault, response, now)
    return Answer(answer.key, bytes(response.SerializeToString()))


def _touched(fault: Fault, response: Any) -> Iterator[Any]:
    """The name-and-value pairs that the fault is about; in a struct there are none."""
    names = fault.rule["features"]
    return (pair for pair in list(response.key_values.features) if not names or pair.name in names)


def _leave_out(fault: Fault, response: Any, _now: float) -> None:
    kept = [pair for pair in response.key_values.features if fault.random.random() >= fault.rule["part"]]
    response.key_values.ClearField("features")
    response.key_values.features.extend(kept)


def _change_types(fault: Fault, response: Any, _now: float) -> None:
    for pair in _touched(fault, response):
        value = pair.value
        kind = value.WhichOneof("value")
        if kind == "string_value":
            value.double_value = float(len(value.string_value))
        elif kind is not None:
            value.string_value = str(getattr(value, kind))


def _empty(fault: Fault, response: Any, _now: float) -> None:
    if fault.rule["what"] == "response":
        response.Clear()
        return
    for pair in _touched(fault, response):
        pair.value.Clear()
        pair.value.SetInParent()


def _oversize(fault: Fault, response: Any, _now: float) -> None:
    padding = response.key_values.features.add(name="_padding")
    padding.value.bytes_value = bytes(fault.rule["bytes"])


def _duplicate(fault: Fault, response: Any, _now: float) -> None:
    """A decoy before each feature: who lets the last one win reads what is stored."""
    decoys = [type(pair).FromString(pair.SerializeToString()) for pair in _touched(fault, response)]
    for decoy in decoys:
        kind = decoy.value.WhichOneof("value")
        if kind == "string_value":
            decoy.value.string_value += "?"
        elif kind is not None:
            setattr(decoy.value, kind, not decoy.value.bool_value if kind == "bool_value" else -1)
    true = list(response.key_values.features)
    response.key_values.ClearField("features")
    response.key_values.features.extend([*decoys, *true])


def _add_unknown(fault: Fault, response: Any, _now: float) -> None:
    for number in range(fault.rule["count"]):
        response.key_values.features.add(name=f"_unknown_{number}").value.int64_value = number


def _reorder(fault: Fault, response: Any, _now: float) -> None:
    pairs = list(response.key_values.features)
    fault.random.shuffle(pairs)
    response.key_values.ClearField("features")
    response.key_values.features.extend(pairs)


def _make_non_finite(fault: Fault, response: Any, _now: float) -> None:
    for pair in _touched(fault, response):
        if pair.value.WhichOneof("value") == "double_value":
            pair.value.double_value = float(fault.rule["value"])


def _shift_times(sign: int, parameter: str, fault: Fault, response: Any, now: float) -> None:
    for pair in _touched(fault, response):
        set_time(pair.value.metadata.generate_time, now + sign * fault.rule[parameter])


_CHANGES: Final[Mapping[FaultKind, Callable[[Fault, Any, float], None]]] = {
    FaultKind.PARTIAL: _leave_out,
    FaultKind.WRONG_TYPE: _change_types,
    FaultKind.EMPTY: _empty,
    FaultKind.OVERSIZED: _oversize,
    FaultKind.DUPLICATE_FEATURES: _duplicate,
    FaultKind.UNKNOWN_FEATURES: _add_unknown,
    FaultKind.REORDERED_FEATURES: _reorder,
    FaultKind.NON_FINITE: _make_non_finite,
    FaultKind.STALE: partial(_shift_times, -1, "age_s"),
    FaultKind.FUTURE: partial(_shift_times, 1, "ahead_s"),
}
