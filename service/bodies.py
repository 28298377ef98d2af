"""A request's body, taken apart into its two members.

There are two ways, which mean the same. Most large bodies hold plain objects only, and are decoded into these at once;
whatever that way does not take, from a list to a lone surrogate, goes through `orjson.loads`, whose words are told. To
try in vain costs little: it ends at the first instance that is no plain object.
"""

import re
from typing import Any, Final

import orjson
from msgspec import DecodeError, Struct, defstruct
from msgspec.json import Decoder

from features.plain_objects import Scalar
from service.errors import BodyMalformed, RequestInvalid

_MEMBERS: Final = frozenset({"instances", "parameters"})
_OBJECT_FIRST: Final = re.compile(rb"[^\[]{,256}+\[\s*+\{").match
"""Whether the first list begins with an object: a tenth of a microsecond, where a try in vain takes half of one."""


class BodyReader:
    """Takes bodies apart."""

    __slots__ = ("_plain",)

    def __init__(self, plain: type[Struct] | None) -> None:
        """Prepares for instances of a type.

        Args:
            plain: What plain objects are decoded into; None if everything is to go through `orjson.loads`.
        """
        self._plain = None if plain is None else Decoder(_plain_body(plain)).decode

    def read(self, body: bytes) -> tuple[Any, Any]:
        """The values of `instances` and `parameters` (None if there are none).

        Raises:
            BodyMalformed: It is not JSON text in UTF-8.
            RequestInvalid: It is not an object with these members.
        """
        if self._plain is not None and _OBJECT_FIRST(body):
            try:
                found = self._plain(body)
            except (DecodeError, UnicodeDecodeError):
                pass  # whatever it is, the other way says so
            else:
                return found.instances, found.parameters
        try:
            sent = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            # orjson's own words quote nothing of the body
            raise BodyMalformed(f"the body is not JSON text in UTF-8: {error.msg} at byte {error.pos}") from None
        if not isinstance(sent, dict) or "instances" not in sent:
            raise RequestInvalid('the body must be an object with a list "instances"')
        if not sent.keys() <= _MEMBERS:
            raise RequestInvalid('the body may hold "instances" and "parameters", nothing else')
        return sent["instances"], sent.get("parameters")


def _plain_body(plain: Any) -> Any:
    """The type of bodies whose instances are all of type `plain`; in parameters, too, nothing is passed over unread."""
    return defstruct(
        "PlainBody",
        [("instances", list[plain]), ("parameters", dict[str, Scalar] | None, None)],
        forbid_unknown_fields=True,
        gc=False,
    )
