"""From settings to an authenticator that runs, or to none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from features.clock import Clock
from service.authentication import Authenticator
from service.authentication_token import Expected
from service.errors import StartError
from service.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@asynccontextmanager
async def authentication(settings: Settings, clock: Clock) -> AsyncIterator[Authenticator | None]:
    """An authenticator whose keys are on their way; None where authentication is off.

    Raises:
        StartError: The settings contradict each other.
    """
    expected = expected_claims(settings)
    if expected is None:
        yield None
        return
    from service.authentication_keys import FetchedKeys  # noqa: PLC0415  # brings httpx and cryptography along

    async with FetchedKeys(settings.auth_certs_url, clock) as keys:
        keys.refresh_if_due()
        yield Authenticator(expected, keys, clock)


def expected_claims(settings: Settings) -> Expected | None:
    """What tokens must claim; None where authentication is off.

    Raises:
        StartError: The settings contradict each other; better no service than one that is open by mistake.
    """
    if settings.auth_audience is None:
        for name in ("auth_emails", "auth_issuers", "auth_certs_url"):
            if name in settings.model_fields_set and getattr(settings, name) is not None:
                raise StartError(
                    f"KEYSCORE_{name.upper()} is set but KEYSCORE_AUTH_AUDIENCE is not, so nobody would be asked for a "
                    "token; set both or neither"
                )
        return None
    address = urlsplit(settings.auth_certs_url)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
        raise StartError("KEYSCORE_AUTH_CERTS_URL must begin with https://, or anybody on the way can let anybody in")
    return Expected(
        settings.auth_audience,
        _listed(settings.auth_issuers, "auth_issuers"),
        None if settings.auth_emails is None else _listed(settings.auth_emails, "auth_emails"),
    )


def _listed(text: str, name: str) -> frozenset[str]:
    found = frozenset(filter(None, (one.strip() for one in text.split(","))))
    if not found:
        raise StartError(f"KEYSCORE_{name.upper()} names nobody")
    return found
