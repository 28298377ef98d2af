"""Who we are to Vertex AI: tokens that no request waits for, except when there is none.

google-auth refreshes inside the call that finds a token stale, one refresh for each concurrent call (measured: 20
calls, 20 refreshes, 410 ms each). Here one refresh at a time runs in a thread while the old token is still good.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from features.errors import StoreDenied
from features.stores.own_thread import OwnThread

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_EARLY_S: Final = 225.0
"""A token is renewed so long before it expires; google-auth's own REFRESH_THRESHOLD."""

_AFTER_FAILURE_S: Final = 1.0
"""Between renewals that fail; without it each read would be one, to a server that is in trouble already."""


class GoogleTokens:
    """Tokens of the default credentials: key file, gcloud's login, or the platform's account."""

    __slots__ = ("_credentials", "_not_before", "_refreshing", "_request", "_thread")

    def __init__(self) -> None:
        self._credentials: Any = None
        self._request: Any = None
        self._refreshing: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._thread = OwnThread("google-tokens")  # a refresh may hang for minutes, and must not hang the exit

    async def warm(self) -> None:
        """See `TokenSource.warm`.

        Raises:
            StoreDenied: There are no credentials, or they were refused.
        """
        self._renew()
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    async def token(self) -> str:
        """See `TokenSource.token`.

        Raises:
            StoreDenied: The token has expired and cannot be renewed.
        """
        left_s = self._left_s()
        if left_s < _EARLY_S:
            self._renew()
        if left_s <= 0:
            if self._refreshing is None:
                raise StoreDenied("the token has expired and could not be renewed a moment ago")
            await asyncio.shield(self._refreshing)
        return str(self._credentials.token)

    def _left_s(self) -> float:
        expiry = self._credentials.expiry if self._credentials is not None else None
        if expiry is None:
            return 0.0 if self._credentials is None else float("inf")
        # google-auth keeps naive datetimes in UTC
        return float((expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())

    def _renew(self) -> None:
        """Begins a renewal, unless one runs or has just failed."""
        if self._refreshing is None and asyncio.get_running_loop().time() >= self._not_before:
            self._refreshing = asyncio.ensure_future(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)

    def _refreshed(self, done: "asyncio.Task[None]") -> None:
        self._refreshing = None
        if not done.cancelled() and done.exception() is not None:  # the old token may still be good
            self._not_before = done.get_loop().time() + _AFTER_FAILURE_S

    async def _refresh(self) -> None:
        try:
            await self._thread.run(self._refresh_blocking)
        except Exception as error:  # google-auth raises a dozen unrelated kinds
            raise StoreDenied(f"no Google credentials: {type(error).__name__}") from error

    def _refresh_blocking(self) -> None:
        import google.auth  # noqa: PLC0415  # takes 0.1 s with its transport, and an emulator needs no credentials
        import google.auth.transport.requests  # noqa: PLC0415  # same

        if self._credentials is None:
            self._request = google.auth.transport.requests.Request()
            self._credentials, _ = google.auth.default(scopes=[_SCOPE], request=self._request)
        self._credentials.refresh(self._request)
