"""Specs of every kind of key and request field, as documents."""

from collections.abc import Callable

import pytest

from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN

_VIEW = "views: {account: {entity: customer}}\nfeatures: [{name: balance, from: account.balance}]\n"
_DOCUMENTS = {
    "string": "entities: {customer: {keys: [{name: customer_id}]}}\n" + _VIEW,
    "int64": "entities: {customer: {keys: [{name: customer_id, dtype: int64}]}}\n" + _VIEW,
    "composite": "entities: {customer: {keys: [{name: branch}, {name: number, dtype: int64}]}}\n" + _VIEW,
    "fields": (
        "entities: {customer: {keys: [{name: customer_id}]}}\n"
        "request: {amount: {minimum: 0, maximum: 1000}, count: {dtype: int, minimum: 1}, new: {dtype: bool},"
        " note: {dtype: string}, delta: {}}\n" + _VIEW
    ),
    "demo": (
        "entities: {customer: {keys: [{name: customer_id}]}, merchant: {keys: [{name: merchant_id}]}}\n"
        "views: {account: {entity: customer}, risk: {entity: merchant}}\n"
        "request: {amount: {minimum: 0}, channel: {dtype: string}}\n"
        "features: [{name: balance, from: account.balance}, {name: rate, from: risk.rate}]\n"
    ),
}


@pytest.fixture(scope="session")
def spec_of() -> Callable[[str], Spec]:
    """A spec by the kind of its keys and fields: string, int64, composite, fields, demo."""

    def parse(kind: str) -> Spec:
        data = f'name: {kind}\nversion: "1"\n{_DOCUMENTS[kind]}'.encode()
        return parse_serving_yaml(data, "serving.yaml", BUILT_IN).spec

    return parse
