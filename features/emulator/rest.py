"""The REST side: what Google's SDK calls with `api_transport="rest"`, and the emulator's own controls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.emulator.admin import Admin
from features.emulator.answers import MALFORMED
from features.emulator.calls import Calls
from features.emulator.codes import CODES, Refused
from features.emulator.fault_rules import FaultRule, FaultRuleInvalid, parse_rules
from features.emulator.json_mapping import request_from_json, response_to_json

_FETCH: Final = ":fetchFeatureValues"


class Controlled(Protocol):
    """What the controls control."""

    @property
    def serving(self) -> bool:
        """Whether the gRPC port is open."""
        ...

    def set_faults(self, rules: tuple[FaultRule, ...]) -> None:
        """Puts these rules in force."""
        ...

    async def start_serving(self) -> None:
        """Opens the gRPC port."""
        ...

    async def stop_serving(self) -> None:
        """Closes it and drops its connections."""
        ...


class Rest:
    """The routes of the REST port; `app` is the ASGI app."""

    __slots__ = ("_admin", "_calls", "_controlled", "app")

    def __init__(self, calls: Calls, admin: Admin, controlled: Controlled) -> None:
        self._calls = calls
        self._admin = admin
        self._controlled = controlled
        routes = (
            ("GET", "/_emulator/faults", self._get_faults),
            ("PUT", "/_emulator/faults", self._put_faults),
            ("GET", "/_emulator/reads", self._get_reads),
            ("DELETE", "/_emulator/reads", self._delete_reads),
            ("GET", "/_emulator/serving", self._get_serving),
            ("PUT", "/_emulator/serving", self._put_serving),
            ("POST", "/{version}/{path:path}", self._post),
            ("GET", "/{version}/{path:path}", self._get),
        )
        self.app = Starlette(
            routes=[Route(path, _answering(respond), methods=[method]) for method, path, respond in routes]
        )

    async def _get(self, request: Request) -> Response:
        return self._administer(request, {})

    async def _post(self, request: Request) -> Response:
        body = await _json(request)
        path = request.path_params["path"]
        if not path.endswith(_FETCH):
            return self._administer(request, body)
        message = request_from_json(body, path.removesuffix(_FETCH))
        answer = await _or_gone(request, self._calls.fetch(message, None))
        if answer == MALFORMED:
            return Response(answer, media_type="application/json")
        return _json_response(response_to_json(answer))

    def _administer(self, request: Request, body: Any) -> Response:
        path = request.path_params
        if path["version"] not in ("v1", "v1beta1"):
            raise Refused("NOT_FOUND", "The versions are v1 and v1beta1; the controls are below /_emulator/.")
        if not isinstance(body, dict):
            raise Refused("INVALID_ARGUMENT", "The body must be a JSON object.")
        answer = self._admin.answer(request.method, path["version"], path["path"], request.query_params, body)
        return _json_response(answer)

    async def _get_faults(self, _request: Request) -> Response:
        return _json_response(self._calls.faults.to_json())

    async def _put_faults(self, request: Request) -> Response:
        try:
            rules = parse_rules(await _json(request))
        except FaultRuleInvalid as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from error
        self._controlled.set_faults(rules)
        return await self._get_faults(request)

    async def _get_reads(self, _request: Request) -> Response:
        return _json_response(self._calls.reads.to_json())

    async def _delete_reads(self, request: Request) -> Response:
        self._calls.reads.clear()
        return await self._get_reads(request)

    async def _get_serving(self, _request: Request) -> Response:
        return _json_response({"up": self._controlled.serving})

    async def _put_serving(self, request: Request) -> Response:
        body = await _json(request)
        if not isinstance(body, dict) or not isinstance(body.get("up"), bool):
            raise Refused("INVALID_ARGUMENT", 'The body must be {"up": true} or {"up": false}.')
        await (self._controlled.start_serving() if body["up"] else self._controlled.stop_serving())
        return await self._get_serving(request)


def _answering(respond: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await respond(request)
        except Refused as refusal:
            http = CODES[refusal.code].http
            error = {"code": http, "message": refusal.message, "status": refusal.code}
            return _json_response({"error": error}, http)

    return answered


async def _json(request: Request) -> Any:
    try:
        return orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError as error:
        raise Refused("INVALID_ARGUMENT", f"The body is not JSON: {error}") from error


def _json_response(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


async def _or_gone(request: Request, answering: Awaitable[bytes]) -> bytes:
    """The answer, unless the client goes away first: a black hole must not outlive whom it holds."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(request.receive())  # the body is read; all that can still come is the disconnect
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Refused("CANCELLED", "The client went away.")
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()
