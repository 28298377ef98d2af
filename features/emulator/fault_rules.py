"""What can go wrong on demand, as rules that are read from JSON and checked before they count.

A rule is an object: `kind`, filters, and the kind's own parameters, for example

    {"kind": "error", "code": "UNAVAILABLE", "share": 0.1, "view": "customer_account", "times": 20}

| filter | meaning |
|---|---|
| `share` | which share of the calls it hits, 0 to 1; every call unless said |
| `view` | only calls to this view (the last segment of its name) |
| `keys` | only calls that ask for one of these keys; of a composite key, the list of its parts |
| `method` | only calls to this method |
| `times` | how many calls it hits before it is over; without end unless said |
| `seed` | of its dice; the same rule and the same calls give the same faults |

A call is one read or write: a unary request, or one request message of a stream.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson

from features.emulator.codes import CODES
from features.emulator.parameters import Choice, Flag, Keys, Names, Number, Parameter, Text
from features.errors import FeaturesError
from features.values import EntityKey

FETCH: Final = "FetchFeatureValues"
STREAMING_FETCH: Final = "StreamingFetchFeatureValues"
DIRECT_WRITE: Final = "FeatureViewDirectWrite"
METHODS: Final = (FETCH, STREAMING_FETCH, DIRECT_WRITE)


class FaultRuleInvalid(FeaturesError):
    """A fault rule cannot be used as written; the message says which, and what to write instead."""


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    ERROR = "error"
    BLACK_HOLE = "black_hole"
    PARTIAL = "partial"
    WRONG_TYPE = "wrong_type"
    WRONG_ENTITY = "wrong_entity"
    MALFORMED = "malformed"
    EMPTY = "empty"
    OVERSIZED = "oversized"
    DUPLICATE_FEATURES = "duplicate_features"
    UNKNOWN_FEATURES = "unknown_features"
    REORDERED_FEATURES = "reordered_features"
    NON_FINITE = "non_finite"
    STALE = "stale"
    FUTURE = "future"
    RESET = "reset"
    SLOW_DRIP = "slow_drip"
    GOAWAY = "goaway"


_FILTERS: Final[Mapping[str, Parameter]] = {
    "share": Number(1.0, maximum=1.0),
    "view": Text(),
    "keys": Keys(),
    "method": Choice("", METHODS),
    "times": Number(None, minimum=1, whole=True),
    "seed": Number(0, minimum=-math.inf, whole=True),
}

_OVERSIZED_BYTES: Final = 4 * 1024 * 1024 + 64 * 1024  # above gRPC's shipped limit for what a client takes, 4 MiB

PARAMETERS: Final[Mapping[FaultKind, Mapping[str, Parameter]]] = {
    FaultKind.LATENCY: {
        "ms": Number(0.0),
        "jitter_ms": Number(0.0),  # added: uniform from 0 to this
        "tail_share": Number(0.0, maximum=1.0),
        "tail_ms": Number(0.0),  # in place of `ms` for that share
    },
    FaultKind.ERROR: {
        "code": Choice("UNAVAILABLE", tuple(CODES)),
        "message": Text(""),
        "pushback_ms": Number(None, minimum=-1, whole=True),
        "per_key": Flag(),  # in a stream: a status for the keys (implied by `keys`) instead of the stream's end
    },
    FaultKind.BLACK_HOLE: {},
    FaultKind.PARTIAL: {"leave_out": Choice("features", ("features", "keys")), "part": Number(0.5, maximum=1.0)},
    FaultKind.WRONG_TYPE: {"features": Names()},
    FaultKind.WRONG_ENTITY: {"disguised": Flag()},  # under the asked key, so that no reader can tell
    FaultKind.MALFORMED: {"level": Choice("message", ("message", "connection"))},
    FaultKind.EMPTY: {"what": Choice("response", ("response", "values")), "features": Names()},
    FaultKind.OVERSIZED: {"bytes": Number(_OVERSIZED_BYTES, whole=True)},
    FaultKind.DUPLICATE_FEATURES: {"features": Names()},
    FaultKind.UNKNOWN_FEATURES: {"count": Number(3, minimum=1, whole=True)},
    FaultKind.REORDERED_FEATURES: {},
    FaultKind.NON_FINITE: {"value": Choice("nan", ("nan", "inf", "-inf")), "features": Names()},
    FaultKind.STALE: {"age_s": Number(86_400.0), "features": Names()},
    FaultKind.FUTURE: {"ahead_s": Number(3_600.0), "features": Names()},
    FaultKind.RESET: {"after_bytes": Number(20, whole=True)},
    FaultKind.SLOW_DRIP: {
        "chunk_bytes": Number(1, minimum=1, whole=True),
        "every_ms": Number(50.0),
        "bytes": Number(100, minimum=1, whole=True),  # what follows comes at once
    },
    FaultKind.GOAWAY: {"refuse": Flag()},  # calls under way too, which their client may then repeat elsewhere
}
"""Each kind's parameters with their shipped values. `features` names those that are touched; empty means all."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One thing that goes wrong, for some of the calls. The module's docstring explains the filters."""

    kind: FaultKind
    share: float = 1.0
    view: str | None = None
    keys: tuple[EntityKey, ...] = ()
    method: str = ""
    times: int | None = None
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, parameter: str) -> Any:
        """The value of one of the kind's own parameters."""
        if parameter in self.parameters:
            return self.parameters[parameter]
        return PARAMETERS[self.kind][parameter].default

    def to_json(self) -> dict[str, Any]:
        """The rule as JSON, everything said; `parse_rule` reads it back."""
        keys = [key if isinstance(key, str) else list(key) for key in self.keys]
        said = {"view": self.view, "keys": keys, "method": self.method, "times": self.times}
        given = {name: value for name, value in said.items() if value}
        parameters = {name: value for name, value in self.parameters.items() if value is not None}
        return {"kind": self.kind.value, "share": self.share, "seed": self.seed, **given, **parameters}


def parse_rule(document: object, where: str = "rule") -> FaultRule:
    """The rule that a JSON value describes.

    Raises:
        FaultRuleInvalid: It describes none.
    """
    if not isinstance(document, dict):
        raise FaultRuleInvalid(f"{where} must be an object such as {{'kind': 'latency', 'ms': 5}}")
    kinds = [kind.value for kind in FaultKind]
    kind = document.get("kind")
    if kind not in kinds:
        raise FaultRuleInvalid(f"{where}: kind must be one of {', '.join(kinds)}, not {kind!r}")
    known = {**_FILTERS, **PARAMETERS[FaultKind(kind)]}
    for name in document:
        if name not in known and name != "kind":
            raise FaultRuleInvalid(f"{where}: {kind} has no {name!r}; it takes {', '.join(known)}")
    found = {name: _checked(document, name, known[name], where) for name in known}
    parameters = {name: found[name] for name in PARAMETERS[FaultKind(kind)]}
    return FaultRule(FaultKind(kind), parameters=parameters, **{name: found[name] for name in _FILTERS})


def parse_rules(document: object) -> tuple[FaultRule, ...]:
    """The rules of a JSON list.

    Raises:
        FaultRuleInvalid: It is no list, or one of its rules is none; the message counts from 1.
    """
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise FaultRuleInvalid("the faults must be a list of rules")
    return tuple(
        rule if isinstance(rule, FaultRule) else parse_rule(rule, f"rule {number}")
        for number, rule in enumerate(document, start=1)
    )


def read_rules(path: Path) -> tuple[FaultRule, ...]:
    """The rules of a JSON file.

    Raises:
        FaultRuleInvalid: The file cannot be read, or not as rules.
    """
    try:
        return parse_rules(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise FaultRuleInvalid(f"the faults' file {path} cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise FaultRuleInvalid(f"the faults' file {path} is not JSON: {error}") from error
    except FaultRuleInvalid as error:
        raise FaultRuleInvalid(f"{path}: {error}") from error


def _checked(document: Mapping[str, object], name: str, parameter: Parameter, where: str) -> Any:
    if document.get(name) is None:
        return parameter.default
    try:
        return parameter.check(document[name])
    except ValueError as error:
        raise FaultRuleInvalid(f"{where}: {name} must be {error}, not {document[name]!r}") from None
