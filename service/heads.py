"""Request line and headers: how large they may be, and what is wrong with those that a parser lets pass.

Whoever stands before us (a balancer, a proxy) must see the same requests on a connection as we do; what two readers
may understand differently is refused, never interpreted.
"""

from itertools import chain
from typing import Final

from service.admission import LARGE_BYTES
from service.header_fields import Headers
from service.problems import HEADERS_TOO_LARGE, MALFORMED_HTTP, URL_TOO_LONG, Problem

MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers; half of what Google's load balancers pass on, 100 times what curl sends."""
_MAX_HEADERS: Final = 100
"""Apache's default."""
_MAX_URL_BYTES: Final = 8 * 1024
"""RFC 9112 section 3 asks for at least 8,000."""


def head_problem(method: bytes, url: bytes, version: str, headers: Headers) -> Problem | None:
    """What is wrong with a head that could be parsed.

    Source: RFC 9112 sections 2.3 (versions), 3.2 (Host) and 6.1 (Transfer-Encoding).
    """
    size = len(url) + sum(map(len, chain.from_iterable(headers)))
    if size > MAX_HEAD_BYTES or len(headers) > _MAX_HEADERS or len(url) > _MAX_URL_BYTES:
        return too_large(url)
    fault = _fault(method, version, headers)
    return Problem(MALFORMED_HTTP, fault) if fault is not None else None


def too_large(url: bytes) -> Problem:
    """The head has more bytes than allowed, or more headers; `url` is as much of it as has come."""
    if len(url) > _MAX_URL_BYTES:
        return Problem(URL_TOO_LONG, f"a URL may have at most {_MAX_URL_BYTES} bytes")
    return Problem(
        HEADERS_TOO_LARGE, f"a request may have at most {_MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes of them"
    )


def declared_bytes(headers: Headers) -> int | None:
    """The size of the body, as its sender says; None if he does not."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None


def is_large(headers: Headers) -> bool:
    """Whether more of the body is to come than is worth reading for the connection's sake, or nobody knows how much."""
    size = declared_bytes(headers)
    return size is None or size > LARGE_BYTES


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The same head, as its sender would have written it had he not asked for another protocol."""
    lines = b"".join(b"%b: %b\r\n" % field for field in headers if field[0] != b"upgrade")
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), lines)


def _fault(method: bytes, version: str, headers: Headers) -> str | None:
    if version not in ("1.1", "1.0"):
        return "this server speaks HTTP/1.1"
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts != 1 and (hosts or version == "1.1"):
        return "a request must have one Host header"
    if b"transfer-encoding" in names and (version == "1.0" or _encoding(headers) != b"chunked"):
        return "the only Transfer-Encoding is chunked, and only in HTTP/1.1"
    if method == b"CONNECT":
        return "this server is no proxy"
    return None


def _encoding(headers: Headers) -> bytes:
    return b",".join(value.strip().lower() for name, value in headers if name == b"transfer-encoding")
