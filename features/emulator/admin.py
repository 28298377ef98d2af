"""The administrative resources behind `keyscore view` and Google's SDK: stores, views, syncs, operations; in memory.

Any online store exists, with Bigtable, and so does any view that the embedded store holds, in any store. What is
created on top lives as long as the emulator. Operations are done at once, and so are syncs: the data is where it is.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from features.clock import Clock
from features.emulator.codes import Refused, not_found
from features.emulator.keys import view_name
from features.emulator.rows import Rows

Json = dict[str, Any]

_PARENT = r"projects/[^/]+/locations/[^/]+"
_STORE = rf"{_PARENT}/featureOnlineStores/[^/:]+"
_VIEW = rf"{_STORE}/featureViews/[^/:]+"
_ID: Final = re.compile(r"[a-z_][a-z0-9_]{0,59}")


class Admin:
    """Answers the FeatureOnlineStoreAdminService's REST calls.

    Args:
        rows: What the embedded store holds.
        clock: Dates what is created.
    """

    __slots__ = ("_clock", "_created", "_operations", "_routes", "_rows", "_started", "_syncs")

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._started = self._now()
        self._created: dict[str, Json] = {}  # stores and views by name
        self._syncs: dict[str, Json] = {}
        self._operations: dict[str, Json] = {}
        self._routes: tuple[tuple[str, re.Pattern[str], Callable[[str, Mapping[str, str], Json, str], Json]], ...] = (
            ("GET", re.compile(rf"{_PARENT}/featureOnlineStores"), self._list_stores),
            ("POST", re.compile(rf"{_PARENT}/featureOnlineStores"), self._create_store),
            ("GET", re.compile(_STORE), self._get_store),
            ("GET", re.compile(rf"{_STORE}/featureViews"), self._list_views),
            ("POST", re.compile(rf"{_STORE}/featureViews"), self._create_view),
            ("GET", re.compile(_VIEW), self._get_view),
            ("POST", re.compile(rf"{_VIEW}:sync"), self._sync),
            ("GET", re.compile(rf"{_VIEW}/featureViewSyncs"), self._list_syncs),
            ("GET", re.compile(rf"{_VIEW}/featureViewSyncs/[^/:]+"), self._get_sync),
            ("GET", re.compile(rf"{_PARENT}/.*operations/[^/:]+"), self._get_operation),
        )

    def answer(self, method: str, version: str, path: str, query: Mapping[str, str], body: Json) -> Json:
        """The JSON answer to one call.

        Args:
            method: HTTP's.
            version: `v1` or `v1beta1`.
            path: The rest of the URL's path.
            query: The URL's parameters.
            body: The request's JSON.

        Raises:
            Refused: There is no such resource or no such call, or it exists already.
        """
        for verb, pattern, respond in self._routes:
            if verb == method and pattern.fullmatch(path):
                return respond(path, query, body, version)
        raise Refused("UNIMPLEMENTED", f"The emulator does not know {method} {path}.")

    def _list_stores(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        return {"featureOnlineStores": self._children(f"{path}/")}

    def _create_store(self, path: str, query: Mapping[str, str], body: Json, version: str) -> Json:
        store = {"state": "STABLE", **body}
        return self._create(path, query.get("featureOnlineStoreId", ""), store, version, "FeatureOnlineStore")

    def _get_store(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        scaling = {"minNodeCount": 1, "maxNodeCount": 1, "cpuUtilizationTarget": 50}
        found = {"state": "STABLE", "bigtable": {"autoScaling": scaling}}
        return self._created.get(path) or self._dated(path, found)

    def _list_views(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        created = self._children(f"{path}/")
        names = {view["name"] for view in created}
        embedded = [f"{path}/{name}" for name in self._rows.views()]
        return {"featureViews": created + [self._embedded_view(name) for name in embedded if name not in names]}

    def _create_view(self, path: str, query: Mapping[str, str], body: Json, version: str) -> Json:
        return self._create(path, query.get("featureViewId", ""), {"syncConfig": {}, **body}, version, "FeatureView")

    def _get_view(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        return self._created.get(path) or self._embedded_view(path)

    def _sync(self, path: str, query: Mapping[str, str], body: Json, version: str) -> Json:
        view = path.removesuffix(":sync")
        self._get_view(view, query, body, version)
        now = self._now()
        name = f"{view}/featureViewSyncs/{len(self._syncs) + 1}"
        self._syncs[name] = {
            "name": name,
            "createTime": now,
            "runTime": {"startTime": now, "endTime": now},
            "finalStatus": {"code": 0},
            "syncSummary": {"rowSynced": str(self._rows.count(view_name(view)))},
        }
        return {"featureViewSync": name}

    def _list_syncs(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        found = [sync for name, sync in self._syncs.items() if name.startswith(f"{path}/")]
        return {"featureViewSyncs": found[::-1]}  # the latest first

    def _get_sync(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        return _found(self._syncs, path)

    def _get_operation(self, path: str, _query: Mapping[str, str], _body: Json, _version: str) -> Json:
        return _found(self._operations, path)

    def _create(self, parent: str, identity: str, resource: Json, version: str, kind: str) -> Json:
        """Makes a resource; answers by the operation that has made it."""
        if not _ID.fullmatch(identity):
            raise Refused("INVALID_ARGUMENT", "An ID is up to 60 of a-z, 0-9 and _, and does not begin with a digit.")
        name = f"{parent}/{identity}"
        if name in self._created:
            raise Refused("ALREADY_EXISTS", f"{kind} {identity} already exists.")
        self._created[name] = {**self._dated(name, resource), "createTime": self._now(), "updateTime": self._now()}
        package = f"type.googleapis.com/google.cloud.aiplatform.{version}"
        times = {"createTime": self._now(), "updateTime": self._now()}
        operation = f"{name}/operations/{len(self._operations) + 1}"
        self._operations[operation] = {
            "name": operation,
            "metadata": {"@type": f"{package}.Create{kind}OperationMetadata", "genericMetadata": times},
            "done": True,
            "response": {"@type": f"{package}.{kind}", **self._created[name]},
        }
        return self._operations[operation]

    def _children(self, prefix: str) -> list[Json]:
        return [
            resource
            for name, resource in self._created.items()
            if name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        ]

    def _embedded_view(self, path: str) -> Json:
        name = view_name(path)
        keys = list(self._rows.view(name).keys)
        return self._dated(
            path, {"bigQuerySource": {"uri": f"bq://embedded.{name}", "entityIdColumns": keys}, "syncConfig": {}}
        )

    def _dated(self, name: str, resource: Json) -> Json:
        return {**resource, "name": name, "createTime": self._started, "updateTime": self._started}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.wall(), UTC).isoformat().replace("+00:00", "Z")


def _found(resources: Mapping[str, Json], name: str) -> Json:
    if name not in resources:
        raise not_found()
    return resources[name]
