"""Who we are to Google Cloud Storage: an access token, asked for once, at start. The door to google-auth.

google-auth is handed our own HTTP, so that a bundle is fetched without `requests`. Without it google-auth reads key
files, gcloud's login and workload identity federation, but not the metadata server: its `compute_engine` package
imports `requests` itself (2.62). That one question is asked here.

Source: google.auth.transport (the interface), cloud.google.com/compute/docs/access/authenticate-workloads.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import google.auth
import google.auth.exceptions
import google.auth.transport

from model.errors import ArtifactError
from model.fetching import Answer, Fetcher, Unanswered

_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_only"
_KEY_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA_HOST: Final = "metadata.google.internal"


class FetcherRequest(google.auth.transport.Request):
    """Sends google-auth's requests with our fetcher; google-auth itself decides about another try."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Answer:
        """The answer to one request, in the form google-auth reads."""
        try:
            return self._fetcher.send(method, url, body=body, headers=headers, timeout_s=timeout)
        except Unanswered as error:
            raise google.auth.exceptions.TransportError(error) from error  # type: ignore[no-untyped-call]  # not annotated


def access_token(fetcher: Fetcher, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """A token that may read objects, good for about an hour.

    Google's order: the key file that the environment names, gcloud's login, the platform's own account.

    Args:
        fetcher: For the requests of the first two.
        sleep: How to wait between attempts at the third.

    Raises:
        ArtifactError: There are no credentials, or they were refused.
    """
    request = FetcherRequest(fetcher)
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE], request=request)
    except google.auth.exceptions.DefaultCredentialsError as error:
        if os.environ.get(_KEY_FILE):
            raise ArtifactError(f"{_KEY_FILE} names no usable credentials: {error}") from error
        return _platform_token(sleep)
    try:
        credentials.refresh(request)  # type: ignore[no-untyped-call]  # google-auth does not annotate it
    except google.auth.exceptions.GoogleAuthError as error:
        raise ArtifactError(f"cannot log in to Google Cloud: {error.args[0]}") from error
    return str(credentials.token)


def _platform_token(sleep: Callable[[float], None]) -> str:
    """The token of the account that Cloud Run, Vertex AI, GKE or a virtual machine runs the service as."""
    host = os.environ.get("GCE_METADATA_HOST") or _METADATA_HOST
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={_SCOPE}"
    fetcher = Fetcher(sleep=sleep, proxies=False)  # the address exists on this machine only
    try:
        answer = fetcher.get(url, {"Metadata-Flavor": "Google"})
        if answer.status == HTTPStatus.OK:
            return str(json.loads(answer.data)["access_token"])
        trouble = f"the metadata server answered {answer.status}"
    except (Unanswered, ValueError, KeyError, TypeError):
        trouble = "no metadata server gives a token"
    finally:
        fetcher.close()
    raise ArtifactError(
        f"no Google Cloud credentials ({trouble}): run `gcloud auth application-default login`, or set {_KEY_FILE}"
    )
