"""How a call can be refused: the status codes of gRPC with their HTTP forms, and the one exception that carries them.

Source: google/rpc/code.proto, whose comments give the HTTP mapping.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Code(NamedTuple):
    """A status code in its two spellings.

    Attributes:
        number: On gRPC and in `google.rpc.Status`.
        http: The HTTP status of the REST side.
    """

    number: int
    http: int


CODES: Final[Mapping[str, Code]] = {
    "CANCELLED": Code(1, 499),
    "UNKNOWN": Code(2, 500),
    "INVALID_ARGUMENT": Code(3, 400),
    "DEADLINE_EXCEEDED": Code(4, 504),
    "NOT_FOUND": Code(5, 404),
    "ALREADY_EXISTS": Code(6, 409),
    "PERMISSION_DENIED": Code(7, 403),
    "RESOURCE_EXHAUSTED": Code(8, 429),
    "FAILED_PRECONDITION": Code(9, 400),
    "ABORTED": Code(10, 409),
    "OUT_OF_RANGE": Code(11, 400),
    "UNIMPLEMENTED": Code(12, 501),
    "INTERNAL": Code(13, 500),
    "UNAVAILABLE": Code(14, 503),
    "DATA_LOSS": Code(15, 500),
    "UNAUTHENTICATED": Code(16, 401),
}

NOT_FOUND_MESSAGE: Final = "Requested entity was not found."
"""The service's words for a missing entity and for a missing view alike; a reader cannot tell them apart."""


class Refused(Exception):
    """A call is answered by a status instead of a result.

    Attributes:
        code: A name of `CODES`.
        message: What the caller is told.
        pushback_ms: How long the caller is told to wait before a retry; negative means "do not"; None says nothing.
    """

    def __init__(self, code: str, message: str, pushback_ms: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.pushback_ms = pushback_ms


def not_found() -> Refused:
    """There is no such entity, view or store; which of them, the service does not say."""
    return Refused("NOT_FOUND", NOT_FOUND_MESSAGE)
