"""Which store the settings mean: one channel and one guard for each host, and never Google without TLS."""

from pathlib import Path

import pytest

from features.clock import SystemClock
from features.events import Nobody
from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.stores.by_view import StoreByView
from features.stores.sqlite import SqliteStore
from features.transforms import BUILT_IN
from service.errors import StartError
from service.settings import Settings
from service.stores import embedded_store, vertex_store

_SOURCE = "projects/p/locations/{}/featureOnlineStores/s/featureViews/v"


@pytest.fixture
def spec() -> Spec:
    """Three views: two in one region, one in another."""
    regions = {"a": "europe-west1", "b": "us-central1", "c": "europe-west1"}
    views = "".join(f"  {name}: {{entity: e, source: {_SOURCE.format(at)}}}\n" for name, at in regions.items())
    features = "".join(f"  - {{name: {name}, from: {name}.x}}\n" for name in regions)
    text = f'name: n\nversion: "1"\nentities: {{e: {{keys: [{{name: k}}]}}}}\nviews:\n{views}features:\n{features}'
    return parse_serving_yaml(text.encode(), "serving.yaml", BUILT_IN).spec


def test_views_of_one_region_share_a_host_and_its_guard(spec: Spec) -> None:
    store = vertex_store(Settings(store="vertex"), spec, SystemClock(), Nobody())
    assert isinstance(store, StoreByView)
    assert store._stores["a"] is store._stores["c"]
    assert store._stores["a"] is not store._stores["b"]


def test_an_endpoint_stands_for_every_region(spec: Spec) -> None:
    settings = Settings(store="vertex", vertex_endpoint="localhost:8070", vertex_plaintext=True)
    store = vertex_store(settings, spec, SystemClock(), Nobody())
    assert isinstance(store, StoreByView)
    assert len(store._distinct()) == 1


def test_google_is_never_asked_without_tls(spec: Spec) -> None:
    with pytest.raises(StartError, match="PLAINTEXT is for an emulator"):
        vertex_store(Settings(store="vertex", vertex_plaintext=True), spec, SystemClock(), Nobody())


def test_the_embedded_store_is_there_before_a_spec_is(tmp_path: Path) -> None:
    assert isinstance(embedded_store(Settings(sqlite_path=tmp_path / "f.sqlite")), SqliteStore)
    assert embedded_store(Settings(store="vertex")) is None
