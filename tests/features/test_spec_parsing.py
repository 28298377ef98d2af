"""A serving.yaml is read as its author meant it, or refused with line, key and advice."""

import dataclasses

import pytest

from features.errors import SpecError
from features.keys import KeyDType, KeyPart
from features.spec import (
    AbsentPolicy,
    Action,
    CachePolicy,
    DerivedFeature,
    Entity,
    FeatureView,
    RequestFeature,
    RequestField,
    StoredFeature,
)
from features.spec_parsing import ServingDocument, parse_serving_yaml
from features.transforms import BUILT_IN
from features.values import Column, DType, RowLayout

SHA = "ab" * 32

GOOD = f"""\
name: card-fraud
version: "1"
model: {{file: model.cbm, sha256: {SHA}}}
entities:
  customer: {{keys: [{{name: customer_id, dtype: string}}]}}
  pair: {{keys: [{{name: customer_id}}, {{name: merchant_id, dtype: int64}}]}}
views:
  customer_account:
    entity: customer
    source: projects/P/locations/L/featureOnlineStores/S/featureViews/customer_account
    cache: {{ttl: 2s, stale_while_revalidate: 10s, stale_if_error: 5m, negative_ttl: 1s}}
    max_age: 1h
    absent: {{not_found: fail}}
  customer_activity: {{entity: customer, read_timeout: 50ms, absent: {{error: missing}}}}
  pair_history: {{entity: pair, cache: {{ttl: 0s}}}}
request:
  amount: {{dtype: float, minimum: 0, maximum: 1000000}}
  channel: {{dtype: string}}
features:
  - {{name: balance, from: customer_account.balance}}
  - {{name: txns_7d, from: customer_activity.txn_count_7d, default: 0, absent: {{not_found: default, null: default}}}}
  - {{name: home_country, from: customer_account.home_country, dtype: string, missing_category: none}}
  - {{name: last_city, from: pair_history.last.city, dtype: string, default: "?", absent: {{too_old: default}}}}
  - {{name: balance_again, from: customer_account.balance}}
  - {{name: spent, derive: {{product: [amount, amount_to_balance]}}}}
  - {{name: amount, from: request.amount, dtype: float}}
  - {{name: channel, from: request.channel}}
  - {{name: amount_to_balance, derive: {{ratio: [amount, balance]}}}}
missing_category: unknown
"""


def _parse(text: str) -> ServingDocument:
    return parse_serving_yaml(text.encode(), "serving.yaml", BUILT_IN)


def test_the_good_example_says_what_it_says() -> None:
    document = _parse(GOOD)
    spec = document.spec
    assert (document.model_file, document.model_sha256) == ("model.cbm", SHA)
    assert (spec.name, spec.version) == ("card-fraud", "1")

    customer_id, merchant_id = KeyPart("customer_id"), KeyPart("merchant_id", KeyDType.INT64)
    customer, pair = Entity("customer", (customer_id,)), Entity("pair", (customer_id, merchant_id))
    assert spec.entities == (customer, pair)
    assert spec.keys == (customer_id, merchant_id)
    assert spec.fields == (RequestField("amount", DType.FLOAT, 0, 1_000_000), RequestField("channel", DType.STRING))
    assert spec.input_names == ("customer_id", "merchant_id", "amount", "channel")

    assert spec.views == (
        FeatureView(
            "customer_account",
            customer,
            RowLayout((Column("balance", DType.FLOAT), Column("home_country", DType.STRING))),
            "projects/P/locations/L/featureOnlineStores/S/featureViews/customer_account",
            CachePolicy(2, 10, 300, 1),
            max_age_s=3600,
        ),
        FeatureView(
            "customer_activity", customer, RowLayout((Column("txn_count_7d", DType.FLOAT),)), read_timeout_s=0.05
        ),
        FeatureView("pair_history", pair, RowLayout((Column("last.city", DType.STRING),)), cache=CachePolicy(ttl_s=0)),
    )

    default = Action.DEFAULT
    assert spec.features == (
        StoredFeature("balance", 0, 0, DType.FLOAT, missing_category="unknown"),
        StoredFeature(
            "txns_7d",
            1,
            0,
            DType.FLOAT,
            AbsentPolicy(null=default, not_found=default, error=Action.MISSING),
            default=0.0,
            missing_category="unknown",
        ),
        StoredFeature("home_country", 0, 1, DType.STRING, missing_category="none"),
        StoredFeature(
            "last_city", 2, 0, DType.STRING, AbsentPolicy(too_old=default), default="?", missing_category="unknown"
        ),
        StoredFeature("balance_again", 0, 0, DType.FLOAT, missing_category="unknown"),
        DerivedFeature("spent", BUILT_IN["product"], (6, 8)),
        RequestFeature("amount", 0, DType.FLOAT),
        RequestFeature("channel", 1, DType.STRING),
        DerivedFeature("amount_to_balance", BUILT_IN["ratio"], (6, 0)),
    )
    assert spec.derivation_order == (8, 5)


MINIMAL = """\
name: m
version: "1"
entities: {customer: {keys: [{name: id}]}}
views: {v: {entity: customer}}
features: [{name: f, from: v.f}]
"""


def test_what_is_left_out_has_the_shipped_value() -> None:
    document = _parse(MINIMAL)
    assert (document.model_file, document.model_sha256) == ("model.cbm", None)
    assert document.spec.fields == ()
    assert document.spec.views[0] == FeatureView(
        "v", Entity("customer", (KeyPart("id"),)), RowLayout((Column("f", DType.FLOAT),))
    )
    assert document.spec.features == (StoredFeature("f", 0, 0, DType.FLOAT),)
    assert dataclasses.astuple(AbsentPolicy()) == ("missing", "fail", "fail", "fail")


def test_a_digest_may_be_written_with_its_algorithm() -> None:
    assert _parse(GOOD.replace(SHA, f"sha256:{SHA}")).model_sha256 == SHA


def test_what_is_said_to_be_sensitive_is_and_so_is_what_follows_from_it() -> None:
    text = GOOD.replace("{name: amount, ", "{name: amount, sensitive: true, ")
    text = text.replace("{name: last_city, ", "{name: last_city, sensitive: true, ")
    spec = _parse(text.replace("{name: balance, ", "{name: balance, sensitive: false, ")).spec
    assert spec.sensitive_names == ("last_city", "spent", "amount", "amount_to_balance")
    assert spec.sensitive_fields == {"amount"}
    text = GOOD.replace("{name: amount_to_balance, ", "{name: amount_to_balance, sensitive: true, ")
    assert _parse(text).spec.sensitive_names == ("spent", "amount_to_balance")


def test_an_integer_default_of_a_float_feature_is_a_float() -> None:
    feature = _parse(GOOD).spec.features[1]
    assert isinstance(feature, StoredFeature)
    assert isinstance(feature.default, float)


# What is replaced in GOOD, by what, and where and how the author learns of it.
BROKEN = [
    # the document
    ("name: card-fraud\n", "", "1: the document", "needs the key 'name'"),
    ("name: card-fraud", "nmae: x\nname: card-fraud", "1: nmae", "is not a known key; did you mean 'name'?"),
    ("name: card-fraud", "name: 1", "1: name", "must be text; put it in quotes"),
    ('version: "1"', "version: 1", "2: version", 'must be text; put it in quotes, as in "1"'),
    ("missing_category: unknown", "missing_category: 0", "29: missing_category", "must be text"),
    # features that are not shown
    ("{name: amount, ", "{name: amount, sensitive: 'yes', ", "26: features[6].sensitive", "must be true or false"),
    ("{name: spent, ", "{name: spent, sensitive: 1, ", "25: features[5].sensitive", "must be true or false"),
    ("{name: balance, ", "{name: balance, sensitiv: true, ", "20: features[0].sensitiv", "did you mean 'sensitive'?"),
    # the model
    ("file: model.cbm", "file: a/model.cbm", "3: model.file", "the name of a file in the bundle, not a path"),
    ("file: model.cbm", r"file: a\m.cbm", "3: model.file", "the name of a file in the bundle, not a path"),
    ("file: model.cbm", "path: model.cbm", "3: model.path", "is not a known key; known keys are file, sha256"),
    (SHA, SHA.upper(), "3: model.sha256", "64 hexadecimal digits; `sha256sum model.cbm` prints them"),
    # entities
    ("  pair: {keys", "  2pair: {keys", "6: entities.2pair", "'2pair' must be made of letters, digits, _ and -"),
    ("  pair: {keys", "  b64: {keys", "6: entities.b64", "'b64' has a meaning of its own on the wire"),
    ("name: merchant_id,", "name: request,", "6: entities.pair.keys[1].name", "'request' has a meaning of its own"),
    ("name: merchant_id,", "name: a.b,", "6: entities.pair.keys[1].name", "'a.b' must be made of letters"),
    ("name: merchant_id,", "name: customer_id,", "6: entities.pair.keys", "names a key twice; remove one"),
    ("dtype: int64", "dtype: int", "6: entities.pair.keys[1].dtype", "one of string, int64; did you mean 'int64'?"),
    ("{name: customer_id},", "{name: customer_id, dtype: int64},", "5: entities", "'customer_id' has two dtypes"),
    ("[{name: customer_id, dtype: string}]", "[]", "5: entities.customer.keys", "a list with at least one item"),
    ("{keys: [{name: customer_id, dtype: string}]}", "{}", "5: entities.customer", "needs the key 'keys'"),
    (
        "  pair: {keys",
        "  spare: {keys: [{name: x}]}\n  pair: {keys",
        "6: entities.spare",
        "no view belongs to the entity",
    ),
    # views
    (
        "entity: customer, read",
        "entity: custmer, read",
        "14: views.customer_activity.entity",
        "did you mean 'customer'?",
    ),
    ("cache: {ttl: 0s}", "cache: {ttl: 0}", "15: views.pair_history.cache.ttl", "a number with a unit"),
    ("cache: {ttl: 0s}", "cache: {tttl: 0s}", "15: views.pair_history.cache.tttl", "did you mean 'ttl'?"),
    ("cache: {ttl: 0s}", "cache: 2s", "15: views.pair_history.cache", "must be a mapping"),
    (
        "max_age: 1h",
        "max_age: 0s",
        "12: views.customer_account.max_age",
        "longer than nothing; leave it out for no bound",
    ),
    ("read_timeout: 50ms", "read_timeout: 0ms", "14: views.customer_activity.read_timeout", "longer than nothing"),
    (
        "{not_found: fail}",
        "{not_found: ignore}",
        "13: views.customer_account.absent.not_found",
        "must be one of fail, def",
    ),
    (
        "{not_found: fail}",
        "{notfound: fail}",
        "13: views.customer_account.absent.notfound",
        "did you mean 'not_found'?",
    ),
    ("request:\n", "  idle: {entity: pair}\nrequest:\n", "16: views.idle", "no feature comes from the view 'idle'"),
    # request fields
    ("minimum: 0,", "minimum: nil,", "17: request.amount.minimum", "must be a number"),
    ("minimum: 0,", "minimum: 2000000,", "17: request.amount.minimum", "is greater than the maximum"),
    (
        "{dtype: string}\nf",
        "{dtype: string, maximum: 1}\nf",
        "18: request.channel.maximum",
        "applies to float and int, not",
    ),
    ("{dtype: string}\nf", "{dtype: text}\nf", "18: request.channel.dtype", "must be one of float, int, bool, string"),
    ("  channel: {", "  merchant_id: {", "17: request", "'merchant_id' is already the name of a key of 'pair'"),
    # features
    (
        "name: balance_again",
        "name: balance",
        "24: features[4].name",
        "the feature 'balance' is listed twice; remove one",
    ),
    ("from: customer_account.balance}", "form: x}", "20: features[0].form", "did you mean 'from'?"),
    (", from: request.channel", "", "27: features[7]", "needs either `from: view.column` or `derive:"),
    (
        "from: request.channel",
        "from: request.channel, derive: {abs: [spent]}",
        "27: features[7]",
        "needs either `from:",
    ),
    ("from: request.channel", "from: channel", "27: features[7].from", "must be `view.column` or `request.field`"),
    (
        "from: request.channel",
        "from: pair_history.",
        "27: features[7].from",
        "must be `view.column` or `request.field`",
    ),
    (
        "from: request.channel",
        "from: request.chanel",
        "27: features[7].from",
        "no request field 'chanel'; did you mean 'ch",
    ),
    (
        "from: request.channel",
        "from: request.channel, default: a",
        "27: features[7].default",
        "a request field must be sent",
    ),
    (
        "from: request.channel",
        "from: request.channel, dtype: int",
        "27: features[7].dtype",
        "the request field is string",
    ),
    (
        "from: pair_history.",
        "from: pair_histroy.",
        "23: features[3].from",
        "no view 'pair_histroy'; did you mean 'pair_hist",
    ),
    (
        "balance_again, from",
        "balance_again, dtype: int, from",
        "24: features[4].name",
        "same column as float; a column has",
    ),
    (
        "balance_again, from",
        "balance_again, missing_category: x, from",
        "24: features[4].missing_category",
        "a missing float is",
    ),
    ("default: 0,", "", "21: features[1].name", "its policy is `default`, so it needs the key 'default'"),
    (
        "default: 0,",
        'default: "0",',
        "21: features[1].default",
        "must be a float, as the feature is; text goes in quotes",
    ),
    ("default: 0,", "default: null,", "21: features[1].default", "must be a float, as the feature is"),
    ("default: 0,", "default: .nan,", "21: features[1].default", "must be a float, as the feature is"),
    (
        'default: "?"',
        "default: 7",
        "23: features[3].default",
        "must be a string, as the feature is; text goes in quotes",
    ),
    (
        "balance_again, from",
        "balance_again, default: 1, from",
        "24: features[4].default",
        "is never used; add `absent: {not_",
    ),
    # derived features
    ("spent, derive", "spent, absent: {}, derive", "25: features[5].absent", "a derived one follows its inputs"),
    (
        "spent, derive",
        "spent, dtype: int, derive",
        "25: features[5].dtype",
        "a derived feature is a float; leave the dtype out",
    ),
    ("{product: [", "{abs: [amount], product: [", "25: features[5].derive", "must name one function, as in {ratio: ["),
    ("{product: [", "{produkt: [", "25: features[5].derive.produkt", "no function 'produkt'; did you mean 'product'?"),
    (
        "{product: [",
        "{zzz: [",
        "25: features[5].derive.zzz",
        "known functions are ratio, difference, product, sum, log1p, abs",
    ),
    ("{product: [amount,", "{product: [", "25: features[5].derive.product", "product takes 2 feature(s), not 1"),
    (
        "{product: [amount,",
        "{product: [amuont,",
        "25: features[5].derive.product[0]",
        "no feature 'amuont'; did you mean 'amo",
    ),
    ("{product: [amount,", "{product: [1,", "25: features[5].derive.product[0]", "must be text"),
    (
        "{product: [amount,",
        "{product: [channel,",
        "25: features[5].derive",
        "'channel' is text; functions take numbers",
    ),
    (
        "[amount, balance]",
        "[amount, spent]",
        "20: features[0].name",
        "from each other: spent -> amount_to_balance -> spent",
    ),
    (
        "[amount, balance]",
        "[amount_to_balance, balance]",
        "20: features[0].name",
        "amount_to_balance -> amount_to_balance",
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "advice"), BROKEN, ids=[f"{one[2]}-{one[3][:30]}" for one in BROKEN])
def test_each_mistake_is_reported_at_its_line_and_key_with_advice(old: str, new: str, where: str, advice: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(SpecError) as refused:
        _parse(GOOD.replace(old, new, 1))
    assert refused.value.where == f"serving.yaml:{where}"
    assert advice in refused.value.problem


def test_an_entity_without_any_view_is_refused_also_where_there_are_no_views_at_all() -> None:
    with pytest.raises(
        SpecError, match=r"serving.yaml:3: entities\.customer: no view belongs to the entity 'customer'"
    ):
        _parse(
            MINIMAL.replace("{v: {entity: customer}}", "{}\nrequest: {a: {}}").replace("from: v.f", "from: request.a")
        )


def test_a_model_may_live_on_the_request_alone() -> None:
    text = MINIMAL.replace("{customer: {keys: [{name: id}]}}", "{}")
    text = text.replace("{v: {entity: customer}}", "{}\nrequest: {a: {}}").replace("from: v.f", "from: request.a")
    spec = _parse(text).spec
    assert (spec.views, spec.keys, spec.input_names) == ((), (), ("a",))
