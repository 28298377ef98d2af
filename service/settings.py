"""Settings: environment variables with the prefix KEYSCORE_, or flags of the same name; a flag wins.

What the platforms set (`PORT`, `K_SERVICE`, `AIP_*`) is read here too, and nowhere else.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSettingsSource, SettingsConfigDict

from features.stores.base import ReadMode
from service.errors import StartError

DEMO_BUNDLE: Final = "var/demo"
_PREFIX: Final = "KEYSCORE_"

_HOST_AND_PORT: Final = r"^(\[[0-9A-Fa-f:]+\]|[^/:\s]+):[0-9]{1,5}$"


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        cli_kebab_case=True,
        cli_prog_name="keyscore serve",
        cli_show_env_vars=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        use_attribute_docstrings=True,
    )

    bundle: str | None = None
    """Directory or gs:// URI of the bundle; AIP_STORAGE_URI fills it on Vertex AI, the demo on a laptop."""

    store: Literal["sqlite", "vertex"] = "sqlite"
    """Which online store to read: sqlite, the embedded one, or Vertex AI Feature Store."""

    sqlite_path: Path = Path("var/features.sqlite")
    """The embedded store's file."""

    view: str | None = None
    """The one feature view of a bundle that has no serving.yaml."""

    vertex_endpoint: str | None = Field(default=None, pattern=_HOST_AND_PORT)
    """host:port to read from in place of the views' regional hosts; an emulator's, or a private endpoint's."""

    vertex_rest_endpoint: str | None = Field(default=None, pattern=_HOST_AND_PORT)
    """host:port to look views up at the start; without it and with the one above, views are not looked up."""

    vertex_plaintext: bool = False
    """No TLS and no credentials, for an emulator."""

    vertex_read: ReadMode = ReadMode.AUTO
    """How to read several keys: auto, streaming (v1beta1, one message) or unary (v1, one call per key)."""

    transforms: str | None = None
    """Module, installed beside the service, whose TRANSFORMS are added to the derived features' functions."""

    host: str = "0.0.0.0"  # noqa: S104  # a container must listen on all addresses
    """Address to listen on."""

    port: int | None = Field(default=None, ge=0, le=65535)
    """Port to listen on; else AIP_HTTP_PORT, PORT, or 8080. 0 takes a free one."""

    deadline_s: float = Field(default=1.0, gt=0, le=300)
    """Budget of a request that names none, in seconds. A payment waits about a second."""

    max_deadline_s: float = Field(default=10.0, gt=0, le=300)
    """Longest budget that a request may ask for, by X-Request-Timeout-Ms or `timeout_ms`; for large batches."""

    features_share: float = Field(default=0.8, gt=0, le=1)
    """Share of the deadline that reading features may use; the rest is for scoring and answering."""

    max_in_flight: int = Field(default=1_000, ge=1)
    """Most interactive requests under way at once; there are 64 places at first, more while requests are refused and
    nobody waits long for a turn of the event loop, and fewer under overload."""

    max_large_in_flight: int = Field(default=4, ge=1)
    """Most large requests (body over 16 KiB, or of unknown length) under way at once; they share nothing with the
    others' places, so neither kind can starve the other."""

    adaptive_limit: bool = True
    """Whether both limits follow measured latency; off, they are what they may be at most, at all times."""

    max_instances: int = Field(default=10_000, ge=1)
    """Instances in one request; more are refused with 422 before any read."""

    max_body_bytes: int = Field(default=1_500_000, ge=1)
    """Largest body; Vertex AI's shared endpoints pass on no more than 1.5 MB."""

    receive_timeout_s: float = Field(default=4.0, gt=0, le=600)
    """Seconds from a request's first byte to its last, from a connection's beginning to its first request, and
    without progress in sending an answer. Between requests a connection may idle."""

    drain_s: float = Field(default=2.0, ge=0, le=5)
    """Seconds between a signal to stop and closing the port: not ready, and every answer closes its connection, so
    that load balancers go elsewhere before anything is refused."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that serve on the port; one that dies is replaced. Each has a cache of its own. With more than one,
    /metrics answers 404 and metrics can only be pushed."""

    admin_port: int | None = Field(default=None, ge=0, le=65535)
    """Port for /metrics, /metadata, /docs and the health routes; the main port then answers only predictions and
    health."""

    detailed: bool = True
    """Whether detailed answers, which show feature values, are given at all."""

    parameters: str | None = None
    """JSON object of `parameters` that hold where a request does not say; for callers who cannot send any."""

    auth_audience: str | None = None
    """Audience of the bearer ID tokens that callers must send; without it the platform is trusted to let in only
    whom it should."""

    auth_issuers: str = "https://accounts.google.com,accounts.google.com"
    """Issuers whose ID tokens are taken, separated by commas."""

    auth_emails: str | None = None
    """Callers that may come in, by their token's verified email, separated by commas; all who have a valid token if
    unset."""

    auth_certs_url: str = "https://www.googleapis.com/oauth2/v3/certs"
    """Where the issuer's public keys are, as a JSON Web Key Set."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """One JSON object per line for Cloud Logging, or plain text; auto is text at a terminal, else JSON."""

    access_log: Literal["off", "errors", "all"] = "errors"
    """Which requests are logged one by one: errors are answers of 500 and above, other than refusals at admission; all
    has those, too, and what is no proper HTTP."""

    otlp_endpoint: str | None = None
    """Base URL to push metrics and traces to, as OTLP over HTTP; OTEL_EXPORTER_OTLP_ENDPOINT fills it."""

    metrics_interval_s: float = Field(default=15.0, gt=0)
    """Seconds between two pushes of metrics."""

    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    """Share of requests that are traced when the caller has not decided."""

    stage_sampling: int = Field(default=16, ge=1)
    """One request in this many has its stages and its values' ages measured; the others are only counted."""

    cache_rows: int = Field(default=100_000, ge=1, le=10_000_000)
    """Feature rows to remember per view, those of the same keys in all views of one entity; about 1 kB each for 50
    numbers."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What the platform says of itself.

    Source: the custom container contract of Vertex AI (AIP_*), the container contract of Cloud Run (PORT, K_SERVICE),
    OpenTelemetry's environment variables (OTEL_*).

    Attributes:
        managed: Runs on Vertex AI or Cloud Run, where a demo would be a mistake.
        orchestrated: Runs on Kubernetes, where stdout is a log for machines.
        port: The port to listen on, if the platform chose one.
        storage_uri: Where Vertex AI put the model's files; None when it gave none.
        predict_route: Further path of the simple route.
        health_route: Further path of readiness.
        otlp_endpoint: Base URL of an OpenTelemetry collector.
    """

    managed: bool = False
    orchestrated: bool = False
    port: int | None = None
    storage_uri: str | None = None
    predict_route: str | None = None
    health_route: str | None = None
    otlp_endpoint: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The platform that set `environ`.

        Raises:
            StartError: A variable does not hold what its contract says.
        """
        return cls(
            managed="AIP_MODE" in environ or "K_SERVICE" in environ,
            orchestrated="KUBERNETES_SERVICE_HOST" in environ,
            port=_port(environ),
            storage_uri=environ.get("AIP_STORAGE_URI") or None,
            predict_route=_route(environ, "AIP_PREDICT_ROUTE"),
            health_route=_route(environ, "AIP_HEALTH_ROUTE"),
            otlp_endpoint=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
        )


def read_settings(
    arguments: Sequence[str], environ: Mapping[str, str] | None = None, *, program: str | None = None
) -> tuple[Settings, Platform]:
    """The settings of a run, from flags and environment.

    Args:
        arguments: Command-line flags, without the program's name.
        environ: The environment; the process's own by default.
        program: What the program is called in messages about flags.

    Raises:
        StartError: A setting is unknown or out of bounds; one line for all of them.
        SystemExit: `--help` was asked for, or a flag is not known.
    """
    try:
        settings = settings_from_flags(arguments, program=program)
    except ValidationError as error:
        raise StartError("; ".join(setting_problems(error).values())) from None
    found = os.environ if environ is None else environ
    for name in unknown_variables(found):
        sys.stderr.write(f"warning: the environment sets {name}, which is no setting of Keyscore\n")
    return settings, Platform.of(found)


def settings_from_flags(
    arguments: Sequence[str], *, program: str | None = None, fallback: Mapping[str, Any] | None = None
) -> Settings:
    """The settings that flags and environment give.

    Args:
        arguments: Command-line flags, without the program's name.
        program: What the program is called in messages about flags.
        fallback: Settings that count for more than the environment and for less than a flag.

    Raises:
        ValidationError: A setting is out of bounds; see `setting_problems`.
        SystemExit: `--help` was asked for, or a flag is not known.
    """
    source: CliSettingsSource[Settings] = CliSettingsSource(Settings, cli_prog_name=program)
    return CliApp.run(Settings, cli_args=list(arguments), cli_settings_source=source, **(fallback or {}))


def setting_problems(error: ValidationError) -> dict[str, str]:
    """What is wrong with each setting, in words, by the setting's name."""
    return {str(one["loc"][0]): _plain(one["loc"], one["msg"]) for one in error.errors()}


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that set nothing: most likely misspelt."""
    known = variables()
    return sorted(name for name in environ if name.startswith(_PREFIX) and name not in known)


def variables() -> list[str]:
    """Every environment variable that sets something."""
    return [_PREFIX + name.upper() for name in Settings.model_fields]


def bundle_uri(settings: Settings, platform: Platform) -> str:
    """Where the bundle is.

    Raises:
        StartError: None is named on a platform where the demo would be a mistake.
    """
    named = settings.bundle or platform.storage_uri
    if named:
        return named
    if platform.managed:
        raise StartError(
            "no bundle: set KEYSCORE_BUNDLE to a directory or gs:// URI (the demo is the default only on a laptop)"
        )
    return DEMO_BUNDLE


def listen_port(settings: Settings, platform: Platform) -> int:
    """The port to listen on."""
    if settings.port is not None:
        return settings.port
    return platform.port if platform.port is not None else 8080


def otlp_endpoint(settings: Settings, platform: Platform) -> str | None:
    """Base URL of the collector to push to; None where nothing is pushed.

    Raises:
        StartError: It is no URL.
    """
    url = settings.otlp_endpoint or platform.otlp_endpoint
    if url is not None and not url.startswith(("http://", "https://")):
        raise StartError("KEYSCORE_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_ENDPOINT) must begin with http:// or https://")
    return url


def _port(environ: Mapping[str, str]) -> int | None:
    for name in ("AIP_HTTP_PORT", "PORT"):
        value = environ.get(name)
        if value:
            if not (value.isascii() and value.isdigit() and int(value) <= 65535):  # noqa: PLR2004  # the last port
                raise StartError(f"{name} must be a port number from 0 to 65535")
            return int(value)
    return None


def _route(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value and not value.startswith("/"):
        raise StartError(f"{name} must begin with a slash")
    if value and ("{" in value or "}" in value):
        raise StartError(f"{name} must be a path as it is, without braces")
    return value or None


def _plain(location: tuple[int | str, ...], message: str) -> str:
    name = _PREFIX + "_".join(str(part) for part in location).upper()
    return f"{name}: {message[0].lower()}{message[1:]}"
