"""Dashboard and alert rules ask only for metrics, labels and label values that the service exports."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from features.stores.memory import MemoryStore
from service.telemetry.catalogue import FAMILIES, Kind, Sources
from service.telemetry.prometheus import PrometheusExport

_FOLDER = Path(__file__).parents[3] / "monitoring"
_DASHBOARD = json.loads((_FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
_ALERTS = yaml.safe_load((_FOLDER / "alerts.yaml").read_text(encoding="utf-8"))

_TARGET = {"job", "instance"}
"""Labels that whoever scrapes or collects puts on every series."""

_FUNCTIONS = {"abs", "absent", "histogram_quantile", "increase", "label_values", "present_over_time", "rate", "sum"}
_WORDS = {"and", "by", "group_left", "ignoring", "offset", "on", "or", "unless"}

_PROMETHEUS_OWN: dict[str, set[str]] = {"up": set()}
"""What Prometheus itself records of each target."""

_GROUPING = re.compile(r"\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)")
_BY = re.compile(r"\bby\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_DURATION = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")


class Asked(NamedTuple):
    """One metric as a query asks for it."""

    sample: str
    matchers: tuple[tuple[str, str, str], ...]


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in _DASHBOARD["panels"] if panel["type"] != "row"]


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _ALERTS["groups"] for rule in group["rules"]]


def _expressions() -> Iterator[tuple[str, str]]:
    for panel in _panels():
        for target in panel["targets"]:
            yield f"{panel['title']}-{target['refId']}", target["expr"]
    for rule in _rules():
        yield rule["alert"], rule["expr"]


_EXPRESSIONS = dict(_expressions())
each_expression = pytest.mark.parametrize("expression", _EXPRESSIONS.values(), ids=_EXPRESSIONS)


def _grouped_by(expression: str, grouping: re.Pattern[str] = _GROUPING) -> set[str]:
    return {name.strip() for names in grouping.findall(expression) for name in names.split(",") if name.strip()}


def _asked(expression: str) -> list[Asked]:
    """Every metric of a query; a word that is neither a function nor PromQL's own is taken for one."""
    plain = _DURATION.sub(" ", _GROUPING.sub(" ", expression))
    return [
        Asked(found[1], tuple(_MATCHER.findall(found[2] or "")))
        for found in _SELECTOR.finditer(plain)
        if found[1] not in _FUNCTIONS | _WORDS and not re.fullmatch(r"e\d+", found[1])
    ]


def _variable(name: str) -> str:
    """The query from which a variable of the dashboard has its values."""
    [variable] = [one for one in _DASHBOARD["templating"]["list"] if one["name"] == name]
    query: str = variable["query"]["query"]
    assert variable["definition"] == query
    return query.removeprefix("label_values(").rpartition(", ")[0]


def _unfound(expression: str, series: dict[str, list[dict[str, str]]]) -> list[str]:
    """What the matchers of a query are to find or to leave out, one alternative after the other, and is not there."""
    missing = []
    for one in _asked(expression):
        for label, operator, text in one.matchers:
            if label in _TARGET or "$" in text:
                continue
            assert "(" not in text, "alternatives within a group are not taken apart"
            wanted = text.split("|") if operator in {"=~", "!~"} else [re.escape(text)]
            there = {labels[label] for labels in series[one.sample]}
            missing += [pattern for pattern in wanted if not any(re.fullmatch(pattern, value) for value in there)]
    return missing


def _sample_labels() -> dict[str, set[str]]:
    """Labels by sample name, after the catalogue."""
    known: dict[str, set[str]] = {}
    for family in FAMILIES:
        labels = set(family.labels)
        if family.kind is Kind.HISTOGRAM:
            known[f"{family.prometheus_name}_bucket"] = labels | {"le"}
            known[f"{family.prometheus_name}_sum"] = known[f"{family.prometheus_name}_count"] = labels
        else:
            known[family.prometheus_name] = labels
    return known


_LABELS = _sample_labels()
_KNOWN = _LABELS | _PROMETHEUS_OWN


@pytest.fixture
def exported(sources: Sources) -> dict[str, list[dict[str, str]]]:
    """The labels of every series of the real `/metrics` text, by sample name."""
    series: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(PrometheusExport(sources).text().decode()):
        for sample in family.samples:
            series.setdefault(sample.name, []).append(sample.labels)
    return series


def test_the_catalogue_says_what_is_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    assert {name: set(labels) for name, series in exported.items() for labels in series} == _LABELS


@each_expression
def test_a_query_asks_for_metrics_that_there_are(expression: str, exported: dict[str, list[dict[str, str]]]) -> None:
    asked = _asked(expression)
    assert asked
    for one in asked:
        assert one.sample in _KNOWN
        assert one.sample in exported or one.sample in _PROMETHEUS_OWN


@each_expression
def test_a_query_names_labels_that_its_metrics_have(expression: str) -> None:
    asked = _asked(expression)
    for one in asked:
        assert {label for label, _, _ in one.matchers} <= _KNOWN[one.sample] | _TARGET
    assert _grouped_by(expression) <= set.union(*(_KNOWN[one.sample] for one in asked)) | _TARGET


@each_expression
def test_a_query_looks_for_label_values_that_there_are(
    expression: str, exported: dict[str, list[dict[str, str]]]
) -> None:
    """Whatever a matcher is to find or to leave out, each of its alternatives is in the example."""
    assert _unfound(expression, exported) == []


@pytest.mark.parametrize(
    ("expression", "misspelt"),
    [
        ('rate(keyscore_cache_lookups_total{result=~"fresh|stael|negative"}[5m])', ["stael"]),
        ('rate(keyscore_requests_total{route!~"/livez|/redyz|/docs.+|other"}[5m])', ["/redyz", "/docs.+"]),
        ('rate(keyscore_store_attempts_total{kind!="frist"}[5m])', ["frist"]),
    ],
)
def test_a_misspelt_label_value_would_be_found(
    expression: str, misspelt: list[str], exported: dict[str, list[dict[str, str]]]
) -> None:
    assert _unfound(expression, exported) == misspelt


@each_expression
def test_what_only_grows_is_looked_at_as_a_rate(expression: str) -> None:
    grows = {name for name in _LABELS if name.endswith(("_total", "_bucket", "_sum", "_count"))}
    grows.discard("process_open_file_descriptor_count")
    rates = set(re.findall(r"(?:rate|increase)\((\w+)", expression))
    assert {one.sample for one in _asked(expression)} & grows <= rates


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_on_the_dashboard(family: Any) -> None:
    shown = {one.sample for panel in _panels() for target in panel["targets"] for one in _asked(target["expr"])}
    assert {name for name in shown if name.startswith(family.prometheus_name)}


def test_the_dashboard_can_be_imported_and_points_to_the_chosen_source() -> None:
    assert _DASHBOARD["id"] is None
    variables = {one["name"]: one for one in _DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for variable in ("job", "route"):
        assert all(one.sample in _LABELS for one in _asked(_variable(variable)))
    ids = [panel["id"] for panel in _DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in _panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {one["uid"] for one in sources} == {"${datasource}"}
        assert panel["description"]


def _left_out(queries: list[str]) -> set[str]:
    """The routes that queries leave out, as regular expressions."""
    matchers = [matcher for query in queries for one in _asked(query) for matcher in one.matchers]
    return {text for label, operator, text in matchers if (label, operator) == ("route", "!~")}


def test_what_is_traffic_is_the_same_on_the_dashboard_and_in_the_alerts() -> None:
    """And all routes of the dashboard are those that its variable finds, not whatever there is."""
    assert len(_left_out([_variable("route"), *_EXPRESSIONS.values()])) == 1
    [route] = [one for one in _DASHBOARD["templating"]["list"] if one["name"] == "route"]
    assert route["includeAll"]
    assert route["allValue"] is None


@pytest.mark.anyio
async def test_traffic_is_what_comes_to_the_routes_of_predictions(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> None:
    """Every alternative of what is left out is a route that a real service counts."""
    client = await serve(shop(), goods)
    for path in ("/livez", "/readyz", "/metadata", "/docs", "/openapi.json", "/nowhere", "/metrics"):
        await client.get(path)
    for path in ("/predict", "/predict/detailed"):
        await client.post(path, json={"instances": [["C1", "M1", 12.5]]})
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    routes = {labels["route"] for family in families for _, labels, *_ in family.samples if "route" in labels}
    [left_out] = _left_out([_variable("route")])
    assert {route for route in routes if not re.fullmatch(left_out, route)} == {"/predict", "/predict/detailed"}
    assert all(any(re.fullmatch(one, route) for route in routes) for one in left_out.split("|"))


def test_panels_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert all(text.strip() for text in rule["annotations"].values())
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}
    said = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    kept = _grouped_by(rule["expr"], _BY) or _TARGET
    assert said <= kept


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in _rules()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(keyscore_request_total[5m]))",
        "keyscore_request_duration_seconds > 1",
        "sum by (view) (keyscore_cache_row)",
    ],
)
def test_a_misspelt_metric_would_be_found(expression: str) -> None:
    assert any(one.sample not in _LABELS for one in _asked(expression))
