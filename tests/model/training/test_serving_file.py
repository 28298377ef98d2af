"""serving.yaml says what the model says."""

from hashlib import sha256
from pathlib import Path

import catboost
import pytest
import yaml

from features.spec import Action, CachePolicy, StoredFeature
from features.spec_parsing import ServingDocument, parse_serving_yaml
from features.transforms import BUILT_IN
from features.values import DType
from model.training.card import ModelCard
from model.training.catalog import FEATURES, VIEWS
from model.training.serving_file import serving_yaml


@pytest.fixture(scope="module")
def document(bundle: Path) -> ServingDocument:
    return parse_serving_yaml((bundle / "serving.yaml").read_bytes(), "serving.yaml", BUILT_IN)


@pytest.fixture(scope="module")
def trained(bundle: Path) -> catboost.CatBoostClassifier:
    return catboost.CatBoostClassifier().load_model(str(bundle / "model.cbm"))


def test_names_and_order_are_the_models(document: ServingDocument, trained: catboost.CatBoostClassifier) -> None:
    assert [feature.name for feature in document.spec.features] == trained.feature_names_


def test_strings_are_the_models_categories(document: ServingDocument, trained: catboost.CatBoostClassifier) -> None:
    strings = [i for i, feature in enumerate(document.spec.features) if feature.dtype is DType.STRING]
    assert strings == trained.get_cat_feature_indices()


def test_the_digest_is_the_files(bundle: Path, card: ModelCard, document: ServingDocument) -> None:
    data = (bundle / document.model_file).read_bytes()
    assert document.model_sha256 == sha256(data).hexdigest() == card.sha256


def test_views_hold_what_the_store_declares(document: ServingDocument) -> None:
    for view in document.spec.views:
        declared = VIEWS[view.name].columns
        assert {column.name: column.dtype for column in view.layout.columns} == declared
        assert view.cache == CachePolicy(2.0, 10.0, 300.0, 1.0)
        assert view.max_age_s is None


def test_only_activity_may_be_unknown(document: ServingDocument) -> None:
    policies = {
        feature.name: feature.absent.not_found
        for feature in document.spec.features
        if isinstance(feature, StoredFeature)
    }
    defaulted = {f"txn_count_{days}d" for days in (1, 7, 30)}
    missing = {f"mean_amount_{days}d" for days in (1, 7, 30)}
    assert {name for name, action in policies.items() if action is Action.DEFAULT} == defaulted
    assert {name for name, action in policies.items() if action is Action.MISSING} == missing


def test_amounts_below_zero_are_refused(document: ServingDocument) -> None:
    amount, channel = document.spec.fields
    assert (amount.name, amount.dtype, amount.minimum) == ("amount", DType.FLOAT, 0)
    assert (channel.name, channel.dtype) == ("channel", DType.STRING)


def test_every_feature_is_on_one_line() -> None:
    text = serving_yaml("model.cbm", "0" * 64)
    listed = yaml.safe_load(text)["features"]
    assert len(listed) == len(FEATURES)
    assert sum(line.startswith("  - {name: ") for line in text.splitlines()) == len(FEATURES)


def test_a_digest_of_digits_stays_text() -> None:
    assert yaml.safe_load(serving_yaml("model.cbm", "1" * 64))["model"]["sha256"] == "1" * 64
