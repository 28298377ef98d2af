"""Bytes to instances: the parse stage.

What an instance may look like is told in `features.instances`. One bad instance is remembered by its index: whether it
fails the request is the caller's choice (`on_error`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.planning import Instances
from features.spec import Spec
from service.bodies import BodyReader
from service.errors import RequestInvalid
from service.parameters import SHIPPED, parse_parameters
from service.schemas import Parameters


@dataclass(slots=True)
class ParsedRequest:
    """A request that has been understood.

    Attributes:
        size: How many instances were sent.
        parameters: What the caller demands.
        instances: The instances that could be understood.
        indexes: Position in the request of each of `instances`.
        failures: Why an instance could not be understood, by its position in the request.
        sent: What JSON made of the instances; None in place of those that have been looked at.
    """

    size: int
    parameters: Parameters
    instances: Instances
    indexes: list[int] = field(default_factory=list)
    failures: dict[int, InstanceInvalid] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list, repr=False)


class RequestParser:
    """Understands the requests of one spec."""

    __slots__ = ("_bodies", "_instances", "_max_instances", "_n_fields", "_n_keys", "_usual")

    def __init__(
        self, spec: Spec, max_instances: int, usual: Parameters = SHIPPED, *, plain_objects: bool = True
    ) -> None:
        """Prepares for a spec.

        Args:
            spec: Names and types of keys and request fields.
            max_instances: How many instances one request may hold.
            usual: The parameters that hold where a request does not say.
            plain_objects: Whether instances that are plain objects are decoded without a dict in between. They mean
                the same either way.
        """
        self._instances = InstanceParser(spec)
        self._bodies = BodyReader(self._instances.plain if plain_objects else None)
        self._n_keys = len(spec.keys)
        self._n_fields = len(spec.fields)
        self._max_instances = max_instances
        self._usual = usual

    def open(self, body: bytes) -> ParsedRequest:
        """The request in `body`, none of its instances looked at yet.

        Raises:
            BodyMalformed: It is not JSON text in UTF-8.
            RequestInvalid: It is JSON, but not a request.
        """
        instances, sent = self._bodies.read(body)
        if not isinstance(instances, list) or not instances:
            raise RequestInvalid('"instances" must be a list with at least one instance')
        if len(instances) > self._max_instances:
            raise RequestInvalid(f'"instances" holds more than {self._max_instances} instances')
        parameters = parse_parameters(sent, self._usual)
        return ParsedRequest(len(instances), parameters, Instances(self._n_keys, self._n_fields), sent=instances)

    def read(self, request: ParsedRequest, start: int, stop: int) -> None:
        """Understands the instances from `start` to before `stop`, the next ones of an opened request.

        What JSON made of them is let go of here: a million objects that die together at the end hold the loop.
        """
        values = request.sent[start:stop]
        request.sent[start:stop] = [None] * len(values)
        failures = self._instances.read(values, request.instances, ignore_extra=request.parameters.extra == "ignore")
        _note(request, failures, start, stop)

    def read_columns(self, request: ParsedRequest, columns: Sequence[Sequence[Any]], start: int) -> None:
        """Understands the next instances of a request whose values come as columns, as those of a table do.

        Args:
            request: The request; the instances from `start` on have not been looked at.
            columns: The values of each of `Spec.input_names`, in that order and equally long; no NaN, as in JSON.
            start: Position of the first of these instances in the request.
        """
        failures = self._instances.read_columns(columns, request.instances)
        _note(request, failures, start, start + len(columns[0]))


def _note(request: ParsedRequest, failures: Mapping[int, InstanceInvalid], start: int, stop: int) -> None:
    """Notes which instances from `start` to before `stop` were understood; `failures` count from `start`."""
    if not failures:
        request.indexes.extend(range(start, stop))
        return
    request.failures.update((start + at, error) for at, error in failures.items())
    request.indexes.extend(index for index in range(start, stop) if index - start not in failures)
