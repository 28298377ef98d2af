"""Reads and writes as the service answers them, faults included; knows neither gRPC nor HTTP.

A call goes: count it, throw the faults' dice, suffer what comes before the answer (latency, error, black hole, faults
of the connection), look up, distort what was found.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from random import Random
from typing import Any, Protocol

from features.clock import Clock
from features.emulator.answers import MALFORMED, Answer, Failure, stream_messages
from features.emulator.codes import Refused, not_found
from features.emulator.direct_write import apply
from features.emulator.distortion import distort
from features.emulator.fault_rules import DIRECT_WRITE, FETCH, STREAMING_FETCH, FaultKind, FaultRule
from features.emulator.faults import ALL, BEFORE_THE_ANSWER, ON_THE_WIRE, Fault, Faults
from features.emulator.keys import AskedKey, asked_key, check_parts, make_message, view_name
from features.emulator.reads import Reads
from features.emulator.rows import Rows
from features.stores.vertex_messages import DataKey


class Line(Protocol):
    """The connection that a call came by."""

    def suffer(self, rule: FaultRule) -> None:
        """Makes the fault of the connection happen to the bytes that go to the client next."""
        ...


class Calls:
    """Answers calls from the embedded store's rows.

    Args:
        rows: What is stored; direct writes go to the same file.
        faults: What goes wrong.
        reads: Where calls are counted.
        clock: Tells how long latency lasts, and what now is for times that are wrong.
        closing: Done when the emulator ends; lets go of the calls that wait.
        keys_per_answer: How many keys one response message of a stream answers at most.
        seed: Of the order in which a stream's keys are answered.
    """

    __slots__ = ("_clock", "_closing", "_keys_per_answer", "_order", "_rows", "faults", "reads")

    def __init__(
        self,
        *,
        rows: Rows,
        faults: Faults,
        reads: Reads,
        clock: Clock,
        closing: asyncio.Future[None],
        keys_per_answer: int,
        seed: int,
    ) -> None:
        self.faults = faults
        self.reads = reads
        self._rows = rows
        self._clock = clock
        self._closing = closing
        self._keys_per_answer = keys_per_answer
        self._order = Random(seed)  # noqa: S311  # an order that repeats, not a secret

    async def fetch(self, request: Any, line: Line | None) -> bytes:
        """Answers a `FetchFeatureValuesRequest` by a serialized response.

        Args:
            request: The message.
            line: The connection, if faults can be done to it.

        Raises:
            Refused: The answer is a status.
        """
        view = view_name(request.feature_view)
        asked = asked_key(_data_key(request))
        struck = self._begin(FETCH, view, (asked.text,), ALL if line else ALL - ON_THE_WIRE)
        if struck:
            await self._suffer(struck, line)
            _refuse(struck)
        found = self._rows.find(view, (asked.text,), request.data_format)
        check_parts(asked, self._rows.view(view))
        if asked.text not in found:
            raise not_found()
        if not struck:
            return found[asked.text]
        answers = self._distorted(struck, view, [Answer(asked, found[asked.text])], request.data_format)
        if any(fault.rule.kind is FaultKind.MALFORMED for fault in struck):
            return MALFORMED
        if not answers:
            return b""
        return answers[0].body if answers[0].key is asked else answers[0].with_data_key()

    async def fetch_many(self, request: Any, line: Line | None) -> list[bytes]:
        """Answers one `StreamingFetchFeatureValuesRequest` by serialized responses, in no order.

        Raises:
            Refused: The stream ends with a status.
        """
        view = view_name(request.feature_view)
        asked = [asked_key(message) for message in request.data_keys]
        texts = [key.text for key in asked]
        struck = self._begin(STREAMING_FETCH, view, texts, ALL if line else ALL - ON_THE_WIRE)
        if struck:
            await self._suffer(struck, line)
            _refuse([fault for fault in struck if not _per_key(fault)])
        answers, failures = self._look_up(view, asked, texts, request.data_format)
        self._order.shuffle(answers)
        if struck:
            if any(fault.rule.kind is FaultKind.MALFORMED for fault in struck):
                return [MALFORMED]
            answers, failures = _fail_keys(struck, answers, failures)
            answers = self._distorted(struck, view, answers, request.data_format)
        return stream_messages(answers, failures, self._keys_per_answer)

    async def write(self, request: Any, line: Line | None) -> list[bytes]:
        """Applies one `FeatureViewDirectWriteRequest`; answers by serialized responses.

        Raises:
            Refused: The stream ends with a status.
        """
        view = view_name(request.feature_view)
        texts = [asked_key(entry.data_key).text for entry in request.data_key_and_feature_values]
        struck = self._begin(DIRECT_WRITE, view, (), BEFORE_THE_ANSWER | ON_THE_WIRE, texts)
        if struck:
            await self._suffer(struck, line)
            _refuse(struck)
        self._rows.view(view)
        # In a thread: a writer waits for another writer, for seconds if need be.
        return await asyncio.to_thread(apply, self._rows.path, view, request, self._clock)

    def _begin(
        self,
        method: str,
        view: str,
        read: Iterable[str],
        possible: Collection[FaultKind],
        written: Iterable[str] = (),
    ) -> Sequence[Fault]:
        self.reads.add(method, view, read)
        return self.faults.strike(method, view, written or read, possible)

    async def _suffer(self, struck: Iterable[Fault], line: Line | None) -> None:
        for fault in struck:
            rule = fault.rule
            if rule.kind is FaultKind.LATENCY:
                delay_s = _delay_s(fault)
                if delay_s:
                    await self._clock.wait([self._closing], self._clock.monotonic() + delay_s)
            elif rule.kind is FaultKind.BLACK_HOLE:
                await asyncio.wait([self._closing])
                raise Refused("UNAVAILABLE", "The emulator ends.")
            elif line and (rule.kind in ON_THE_WIRE or _garbles(rule)):
                line.suffer(rule)

    def _look_up(
        self, view: str, asked: Sequence[AskedKey], texts: Sequence[str], data_format: int
    ) -> tuple[list[Answer], list[Failure]]:
        """Answers and failures; whatever is wrong concerns the keys, never the stream."""
        answers: list[Answer] = []
        failures: list[Failure] = []
        try:
            found = self._rows.find(view, texts, data_format)
            stored = self._rows.view(view)
        except Refused as refusal:
            return [], [Failure(key, refusal) for key in asked]
        for key in asked:
            try:
                check_parts(key, stored)
            except Refused as refusal:
                failures.append(Failure(key, refusal))
                continue
            body = found.get(key.text)
            if body is None:
                failures.append(Failure(key, not_found()))
            else:
                answers.append(Answer(key, body))
        return answers, failures

    def _distorted(self, struck: Iterable[Fault], view: str, answers: list[Answer], data_format: int) -> list[Answer]:
        def other(answer: Answer) -> Answer:
            text = self._rows.other_key(view, answer.key.text)
            if text is None:  # the only row: the answer's key alone is wrong
                return Answer(answer.key._replace(message=DataKey(key="_another")), answer.body)
            key = answer.key._replace(text=text, message=make_message(text, like=answer.key))
            return Answer(key, self._rows.find(view, (text,), data_format)[text])

        for fault in struck:
            answers = distort(fault, answers, other, self._clock.wall())
        return answers


def _data_key(request: Any) -> Any:
    """The request's key; v1beta1 also knows it as a plain `id`."""
    return request.data_key if request.HasField("data_key") or not request.id else DataKey(key=request.id)


def _delay_s(fault: Fault) -> float:
    rule, dice = fault.rule, fault.random
    base = rule["tail_ms"] if rule["tail_share"] and dice.random() < rule["tail_share"] else rule["ms"]
    jitter = dice.uniform(0.0, rule["jitter_ms"]) if rule["jitter_ms"] else 0.0
    return float(base + jitter) / 1_000


def _garbles(rule: FaultRule) -> bool:
    return rule.kind is FaultKind.MALFORMED and rule["level"] == "connection"


def _per_key(fault: Fault) -> bool:
    return fault.rule.kind is FaultKind.ERROR and bool(fault.rule["per_key"] or fault.rule.keys)


def _refuse(struck: Iterable[Fault]) -> None:
    for fault in struck:
        if fault.rule.kind is FaultKind.ERROR:
            raise _refusal(fault.rule)


def _refusal(rule: FaultRule) -> Refused:
    if rule["code"] == "NOT_FOUND" and not rule["message"]:
        return not_found()
    return Refused(rule["code"], rule["message"] or "A fault on demand.", rule["pushback_ms"])


def _fail_keys(
    struck: Iterable[Fault], answers: list[Answer], failures: list[Failure]
) -> tuple[list[Answer], list[Failure]]:
    for fault in filter(_per_key, struck):
        hit = [answer for answer in answers if fault.touches(answer.key.text)]
        failures = failures + [Failure(answer.key, _refusal(fault.rule)) for answer in hit]
        answers = [answer for answer in answers if answer not in hit]
    return answers, failures
