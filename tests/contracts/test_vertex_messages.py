"""Our small wire messages are google-cloud-aiplatform's: same names, same numbers, same types on the wire."""

import sys
from importlib.metadata import PackageNotFoundError, version
from subprocess import run
from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import FieldDescriptor

from features.stores.vertex_messages import MESSAGES

# Google's classes are read in an interpreter of their own: importing them takes a second and 120 MB, and warns.
_DESCRIBE = """
import json
from google.cloud import aiplatform_v1, aiplatform_v1beta1

def describe(module):
    types = module.types
    service, values = types.feature_online_store_service, types.featurestore_online_service
    seen = {}

    def add(message):
        if message.full_name in seen:
            return
        seen[message.full_name] = {
            field.name: [
                field.number,
                field.type,
                field.is_repeated,
                field.message_type and field.message_type.full_name,
                field.containing_oneof and field.containing_oneof.name,
            ]
            for field in message.fields
        }
        for field in message.fields:
            if field.message_type:
                add(field.message_type)

    for name in dir(service):
        kind = getattr(service, name)
        if name.startswith(("Fetch", "Streaming", "FeatureView")) and hasattr(kind, "pb"):
            add(kind.pb().DESCRIPTOR)
    return seen

print(json.dumps({"v1": describe(aiplatform_v1), "v1beta1": describe(aiplatform_v1beta1)}))
"""

_ELSEWHERE = {"Status": "google.rpc.Status"}
_SHORTER = {".TimedValue": ".FeatureValueAndTimestamp"}  # a message's name does not travel
_V1BETA1_ONLY = {
    "StreamingFetchFeatureValuesRequest",
    "StreamingFetchFeatureValuesResponse",
    "FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature.TimedValue",  # v1 writes cannot be dated
}
_WHOLE = {"FetchFeatureValuesRequest", "StreamingFetchFeatureValuesRequest", "FetchFeatureValuesResponse"}


@pytest.fixture(scope="module")
def google() -> dict[str, Any]:
    """API version to message name to field name to number, type, whether repeated, message type, oneof."""
    try:
        version("google-cloud-aiplatform")
    except PackageNotFoundError:
        pytest.skip("google-cloud-aiplatform is not installed (the extra `admin`); there is nothing to compare with")
    found = run([sys.executable, "-W", "ignore", "-c", _DESCRIBE], check=True, capture_output=True)  # noqa: S603  # our own interpreter and text
    described: dict[str, Any] = orjson.loads(found.stdout)
    return described


def _theirs(name: str, api: str) -> str:
    for ours, theirs in _SHORTER.items():
        name = name.replace(ours, theirs)
    return _ELSEWHERE.get(name, f"google.cloud.aiplatform.{api}.{name}")


def _ours(message: Any, api: str) -> dict[str, list[Any]]:
    """Our fields as Google would describe them, in its package for `api`."""
    described = {}
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type and field.message_type.full_name
        if kind and kind.startswith("google.cloud.aiplatform."):
            kind = _theirs(kind.removeprefix("google.cloud.aiplatform.v1beta1."), api)
        oneof = field.containing_oneof and field.containing_oneof.name
        described[field.name] = [field.number, field.type, field.is_repeated, kind, oneof]
    return described


def _on_the_wire(field: list[Any]) -> list[Any]:
    """An enum travels as an int32."""
    number, kind, *rest = field
    return [number, FieldDescriptor.TYPE_INT32 if kind == FieldDescriptor.TYPE_ENUM else kind, *rest]


@pytest.mark.parametrize("name", list(MESSAGES))
def test_every_field_of_ours_is_v1beta1s(google: dict[str, Any], name: str) -> None:
    theirs = google["v1beta1"][_theirs(name, "v1beta1")]
    for field, ours in _ours(MESSAGES[name], "v1beta1").items():
        assert ours == _on_the_wire(theirs[field]), f"{name}.{field}"


@pytest.mark.parametrize("name", list(MESSAGES))
def test_every_field_of_v1_that_we_know_agrees(google: dict[str, Any], name: str) -> None:
    theirs = google["v1"].get(_theirs(name, "v1"))
    if theirs is None:
        assert name in _V1BETA1_ONLY
        return
    ours = _ours(MESSAGES[name], "v1")
    for field, described in theirs.items():
        if field in ours:
            assert ours[field] == _on_the_wire(described), f"{name}.{field}"


@pytest.mark.parametrize("name", sorted(_WHOLE))
def test_what_we_ask_and_read_has_no_field_that_we_do_not_know(google: dict[str, Any], name: str) -> None:
    deprecated = {"format"}
    theirs = {field.rstrip("_") for field in google["v1beta1"][_theirs(name, "v1beta1")]} - deprecated
    assert theirs == set(_ours(MESSAGES[name], "v1beta1"))
