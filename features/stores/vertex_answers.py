"""From what Vertex AI has sent to answers: up to 31 us a row, so in slices, and in turns with all other long work."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.deadline import Deadline
from features.errors import StoreAnswerInvalid, StoreError
from features.stores.base import ReadAnswer
from features.stores.vertex_channel import error_of_code
from features.stores.vertex_decoding import decode_data_key, decode_fetch_response
from features.stores.vertex_rows import RowDecoder
from features.turns import Turns
from features.values import EntityKey

_ROWS_AT_ONCE: Final = 64
"""Rows decoded in one go; one of 30 numbers takes 8 to 31 us."""
_NOT_FOUND: Final = 5  # google.rpc.Code
_LEFT_OUT: Final = StoreAnswerInvalid("the answer leaves a key out, or is about another one")


def check_status(message: Any) -> None:
    """Returns unless a message of a stream says that all of it failed.

    Raises:
        StoreError: It does.
    """
    if not message.data_keys_with_error and message.HasField("status") and message.status.code:
        raise error_of_code(message.status.code)


async def decode_stream(
    messages: Sequence[Any], keys: Sequence[EntityKey], decoder: RowDecoder, turns: Turns, deadline: Deadline
) -> dict[EntityKey, ReadAnswer]:
    """An answer for each of `keys`, from the messages of a stream; they come in any order, about several keys each.

    A key that nobody asked for is passed over; if it came in place of one that was, that one is left out.

    Raises:
        DeadlineExceeded: `deadline` passed between two slices.
    """
    answers: dict[EntityKey, ReadAnswer] = {}
    asked = set(keys)
    rows = [one for message in messages for one in message.data]

    def take(start: int, stop: int) -> None:
        for one in rows[start:stop]:
            key = decode_data_key(one.data_key)
            if key in asked:
                answers[key] = decoder.decode(one)

    await turns.over(len(rows), take, deadline, at_once=_ROWS_AT_ONCE)
    for message in messages:
        if message.data_keys_with_error:
            failure = None if message.status.code == _NOT_FOUND else error_of_code(message.status.code)
            failed = map(decode_data_key, message.data_keys_with_error)
            answers.update((key, failure) for key in failed if key in asked)
    return {key: answers.get(key, _LEFT_OUT) for key in keys}


async def decode_unaries(
    sent: Mapping[EntityKey, bytes | StoreError | None], decoder: RowDecoder, turns: Turns, deadline: Deadline
) -> dict[EntityKey, ReadAnswer]:
    """An answer for each key, from what a unary call brought about it.

    Raises:
        DeadlineExceeded: `deadline` passed between two slices.
    """
    answers: dict[EntityKey, ReadAnswer] = {}
    keys = list(sent)

    def take(start: int, stop: int) -> None:
        for key in keys[start:stop]:
            one = sent[key]
            answers[key] = decode_fetch_response(one, key, decoder.decode) if isinstance(one, bytes) else one

    await turns.over(len(keys), take, deadline, at_once=_ROWS_AT_ONCE)
    return answers
