"""Online stores, feature views and syncs of Vertex AI, through Google's own client. The one door to it.

The client takes 0.7 s and 130 MB to import, so it stays out of the service and comes as the extra `admin`. It speaks
REST here, the transport that also reaches an emulator.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from features.stores.vertex_names import ViewName
from service.errors import ServiceError

_TIMEOUT_S: Final = 30.0
"""One call, not the operation that it begins."""
_PACKAGE: Final = "google.cloud.aiplatform_v1.services.feature_online_store_admin_service"
_INSTALL: Final = "pip install --require-hashes --no-deps -r requirements-admin.lock"


class AdminFailed(ServiceError):
    """Google's client could not do it; says why in one line.

    Attributes:
        code: Vertex AI's word for it, `ALREADY_EXISTS` for example; empty if it was never asked.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Sync:
    """A copy of the table's rows to the online store.

    Attributes:
        name: Its resource name.
        created: When it was asked for.
        began: When it began; None while it waits.
        ended: When it ended; None while it runs.
        rows: How many rows it has copied.
        error: Why it failed; empty if it did not.
    """

    name: str
    created: datetime
    began: datetime | None
    ended: datetime | None
    rows: int
    error: str

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.ended is not None or bool(self.error)


@dataclass(frozen=True, slots=True)
class View:
    """A feature view as Vertex AI describes it.

    Attributes:
        source: Where its rows come from.
        keys: Its entity columns.
        cron: When it syncs; empty for "when asked".
        continuous: Whether it follows the table on its own.
        updated: When its definition last changed.
    """

    source: str
    keys: tuple[str, ...]
    cron: str
    continuous: bool
    updated: datetime


class ViewAdmin:
    """Administers the views of one location.

    Args:
        endpoint: host[:port] of the REST API.
        plaintext: No TLS and no credentials, for an emulator.

    Raises:
        AdminFailed: Google's client is not installed, or there are no credentials.
    """

    __slots__ = ("_client",)

    def __init__(self, endpoint: str, *, plaintext: bool) -> None:
        try:
            from google.api_core.client_options import ClientOptions  # noqa: PLC0415  # optional: the extra `admin`
            from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  # same
            from google.cloud.aiplatform_v1.services import feature_online_store_admin_service  # noqa: PLC0415  # same
        except ImportError as error:
            raise AdminFailed(f"this needs Google's client: {_INSTALL}") from error
        with _in_one_line():
            anonymous: Any = AnonymousCredentials
            self._client: Any = feature_online_store_admin_service.FeatureOnlineStoreAdminServiceClient(
                transport="rest",
                credentials=anonymous() if plaintext else None,
                client_options=ClientOptions(api_endpoint=f"{'http' if plaintext else 'https'}://{endpoint}"),
            )

    def begin_store(self, name: ViewName, min_nodes: int, max_nodes: int) -> Any:
        """Begins to make the view's online store, on Bigtable; returns the operation, which takes minutes."""
        scaling = {"min_node_count": min_nodes, "max_node_count": max_nodes}
        with _in_one_line():
            return self._client.create_feature_online_store(
                parent=name.parent,
                feature_online_store_id=name.store,
                feature_online_store={"bigtable": {"auto_scaling": scaling}},
                timeout=_TIMEOUT_S,
            )

    def begin_view(self, name: ViewName, table: str, keys: Sequence[str], cron: str | None) -> Any:
        """Begins to make the view on a BigQuery table; returns the operation."""
        view: dict[str, Any] = {"big_query_source": {"uri": f"bq://{table}", "entity_id_columns": list(keys)}}
        if cron is not None:
            view["sync_config"] = {"cron": cron}
        with _in_one_line():
            return self._client.create_feature_view(
                parent=f"{name.parent}/featureOnlineStores/{name.store}",
                feature_view_id=name.view,
                feature_view=view,
                timeout=_TIMEOUT_S,
            )

    def ended(self, operation: Any) -> bool:
        """Whether the operation has ended well.

        Raises:
            AdminFailed: It has failed.
        """
        with _in_one_line():
            if not operation.done():
                return False
            operation.result(timeout=0)
            return True

    def view(self, resource: str) -> View:
        """The view's description.

        Raises:
            AdminFailed: There is none, or it cannot be had.
        """
        with _in_one_line():
            found = self._client.get_feature_view(name=resource, timeout=_TIMEOUT_S)
        registry = ", ".join(group.feature_group_id for group in found.feature_registry_source.feature_groups)
        return View(
            source=found.big_query_source.uri or (f"feature groups {registry}" if registry else ""),
            keys=tuple(found.big_query_source.entity_id_columns),
            cron=found.sync_config.cron,
            continuous=bool(found.sync_config.continuous),
            updated=found.update_time,
        )

    def begin_sync(self, resource: str) -> str:
        """Asks for a sync; returns its name."""
        with _in_one_line():
            return str(self._client.sync_feature_view(feature_view=resource, timeout=_TIMEOUT_S).feature_view_sync)

    def sync(self, name: str) -> Sync:
        """How far a sync is."""
        with _in_one_line():
            return _sync(self._client.get_feature_view_sync(name=name, timeout=_TIMEOUT_S))

    def syncs(self, resource: str) -> list[Sync]:
        """The latest syncs of a view, the last one first."""
        with _in_one_line():
            page = next(self._client.list_feature_view_syncs(parent=resource, timeout=_TIMEOUT_S).pages)
            found = [_sync(one) for one in page.feature_view_syncs]
        return sorted(found, key=lambda sync: sync.created, reverse=True)


def _sync(found: Any) -> Sync:
    status = found.final_status
    return Sync(
        name=found.name,
        created=found.create_time,
        began=_moment(found.run_time, "start_time"),
        ended=_moment(found.run_time, "end_time"),
        rows=found.sync_summary.row_synced,
        error=(status.message or f"status {status.code}") if status.code else "",
    )


def _moment(interval: Any, end: str) -> datetime | None:
    """One end of a `google.type.Interval`, which, unlike the other messages here, is plain protobuf."""
    return getattr(interval, end).ToDatetime(tzinfo=UTC) if interval.HasField(end) else None


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Translates what Google's client raises; it comes from three packages."""
    import google.auth.exceptions  # noqa: PLC0415  # only where the client is used
    import requests.exceptions  # noqa: PLC0415  # same
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415  # same

    try:
        yield
    except GoogleAPICallError as error:
        code, message = _said(error)
        raise AdminFailed(f"Vertex AI answered {code}: {_line(message)}", code) from error
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise AdminFailed(
            "there are no Google credentials: `gcloud auth application-default login`, or "
            "KEYSCORE_VERTEX_PLAINTEXT=1 for an emulator"
        ) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise AdminFailed(f"Google's credentials cannot be used: {_line(str(error))}") from error
    except requests.exceptions.RequestException as error:
        url = str(error.request.url) if error.request is not None else "Vertex AI"
        raise AdminFailed(f"{url.partition('?')[0]} cannot be reached: {type(error).__name__}") from error


def _said(error: Any) -> tuple[str, str]:
    """The status and the words of a refusal; the client puts the call's whole URL before them."""
    try:
        said = error.response.json()["error"]
        return str(said["status"]), str(said["message"])
    except (AttributeError, KeyError, TypeError, ValueError):  # an operation's error, or not Vertex AI's JSON
        status = error.grpc_status_code
        return (status.name if status is not None else type(error).__name__), error.message


def _line(text: str | None) -> str:
    return " ".join((text or "no reason given").split())
