"""Problems as bytes on the wire: answers to what never gets as far as the app."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.problems import Problem, ProblemType

_ID: Final = "{}"  # a request id has no braces, and no character that JSON would escape


def refusal(problem: Problem, request_id: str, fields: Iterable[tuple[bytes, bytes]], *, closes: bool) -> bytes:
    """The whole answer.

    Args:
        problem: What to say; without extension members.
        request_id: For its header and its document.
        fields: Headers that every answer has.
        closes: Whether to announce that the connection will be closed.
    """
    head, before, after = _fixed_parts(problem.type, problem.detail, closes)
    name = request_id.encode()
    size = len(before) + len(name) + len(after)
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b%b%b" % (head, lines, name, size, before, name, after)


@lru_cache(maxsize=64)  # there are a dozen
def _fixed_parts(kind: ProblemType, detail: str, closes: bool) -> tuple[bytes, bytes, bytes]:  # noqa: FBT001  # a key
    problem = Problem(kind, detail)
    headers = {**problem.headers(), **({"connection": "close"} if closes else {})}
    head = STATUS_LINE[kind.status] + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    before, _, after = problem.body(_ID).partition(_ID.encode())
    return head, before, after
