"""Is authentication on, and can the keys be fetched that tokens are checked with?"""

from service.authentication_settings import expected_claims
from service.errors import StartError
from service.findings import Findings
from service.settings import Settings


async def inspect_authentication(settings: Settings, findings: Findings) -> None:
    """Looks at authentication; fetches the keys once."""
    try:
        expected = expected_claims(settings)
    except StartError as error:
        findings.problem("authentication", str(error))
        return
    if expected is None:
        findings.ok("authentication", "off; who may call is for the platform to say (KEYSCORE_AUTH_AUDIENCE)")
        return
    from service.authentication_keys import KeysNotFetched, fetch_once  # noqa: PLC0415  # brings httpx along

    try:
        count = len((await fetch_once(settings.auth_certs_url)).keys)
    except KeysNotFetched as error:
        findings.problem("authentication", f"on, but every call would be refused: {error}")
    else:
        found = f"{count} key{'' if count == 1 else 's'}"
        findings.ok("authentication", f"on for {expected.audience}; {settings.auth_certs_url} holds {found}")
