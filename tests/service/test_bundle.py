"""A bundle is loaded only when model, spec and digest agree; what is wrong is one line."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN
from model.bundle import disagreements
from model.signature import PredictionType, Signature, Task
from service.bundle import SingleView, load_bundle, load_transforms
from service.errors import StartError

Train = Callable[..., bytes]


def spec_of(features: str) -> Spec:
    text = (
        'name: x\nversion: "1"\nentities: {c: {keys: [{name: id}]}}\nviews: {v: {entity: c}}\n'
        f"request: {{amount: {{}}, flag: {{dtype: bool}}}}\nfeatures: [{features}]\n"
    )
    return parse_serving_yaml(text.encode(), "serving.yaml", BUILT_IN).spec


def signature(names: Sequence[str], categorical: tuple[int, ...] = ()) -> Signature:
    numeric = tuple(at for at in range(len(names)) if at not in categorical)
    return Signature(tuple(names), categorical, numeric, Task.REGRESSION, None, 1, PredictionType.RAW, threshold=None)


A, B, TEXT = "{name: a, from: v.a}", "{name: b, from: v.b}", "{name: t, from: v.t, dtype: string}"
WHOLE = "{name: n, from: v.n, dtype: int}"


@pytest.mark.parametrize(
    ("features", "says", "problem"),
    [
        (f"{A}, {B}", signature(["a", "c"]), "the model has no feature 'b'"),
        (f"{A}, {B}", signature(["a", "c"]), "the spec lists no feature 'c'"),
        (A, signature(["a", "b"]), "the spec lists no feature 'b'"),
        (f"{A}, {B}", signature(["b", "a"]), "feature 0 is 'b' in the model but 'a' in the spec; list them in the m"),
        (f"{A}, {TEXT}", signature(["a", "t"], (0, 1)), "'a' is a category in the model but float in the spec"),
        (f"{A}, {TEXT}", signature(["a", "t"]), "'t' is a number in the model but string in the spec"),
        (f"{A}, {{name: l, derive: {{log1p: [a]}}}}", signature(["a", "l"], (1,)), "'l' is a category in the model"),
        (f"{A}, {{name: f, from: request.flag}}", signature(["a", "f"], (1,)), "'f' is a category in the model but b"),
    ],
)
def test_what_model_and_spec_disagree_on_is_said(features: str, says: Signature, problem: str) -> None:
    assert any(problem in one for one in disagreements(spec_of(features), says))


def test_an_agreement_has_nothing_to_say() -> None:
    spec = spec_of(f"{A}, {TEXT}, {WHOLE}, {{name: amount, from: request.amount}}")
    assert list(disagreements(spec, signature(["a", "t", "n", "amount"], (1, 2)))) == []


def test_a_bundle_knows_its_digest_and_its_model(shop: Callable[..., Path]) -> None:
    bundle = load_bundle(str(shop()))
    assert bundle.spec.name == "shop"
    assert bundle.digest.startswith("sha256:")
    assert bundle.scorer.signature.features[1] == "city"
    assert bundle.golden is None


def test_a_model_alone_is_served_from_one_named_view(train: Train, write_bundle: Callable[..., Path]) -> None:
    folder = write_bundle(train(("b", "a", "city"), ("city",)))
    spec = load_bundle(str(folder), SingleView("projects/p/featureViews/people", ("person_id",))).spec
    (view,) = spec.views
    assert (view.name, view.source) == ("people", "projects/p/featureViews/people")
    assert [part.name for part in spec.keys] == ["person_id"]
    assert [(one.name, str(one.dtype)) for one in spec.features] == [("b", "float"), ("a", "float"), ("city", "string")]
    assert load_bundle(str(folder), SingleView("people")).spec.views[0].source is None


def test_a_model_alone_without_a_named_view_says_what_to_do(train: Train, write_bundle: Callable[..., Path]) -> None:
    with pytest.raises(StartError, match=r"holds no serving\.yaml: write one, or name .* KEYSCORE_VIEW"):
        load_bundle(str(write_bundle(train(("a",)))))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "model.cbm").unlink(), r"holds no model\.cbm"),
        (lambda folder: (folder / "model.cbm").write_bytes(b"CBM1"), "is not the file that the bundle names"),
        (lambda folder: (folder / "serving.yaml").write_text("name: ["), r"serving\.yaml:1: is not YAML"),
        (lambda folder: (folder / "serving.yaml").write_text("name: x"), "needs the key 'version'"),
    ],
)
def test_a_broken_bundle_is_one_line(shop: Callable[..., Path], spoil: Callable[[Path], object], said: str) -> None:
    folder = shop()
    spoil(folder)
    with pytest.raises(StartError, match=said) as caught:
        load_bundle(str(folder))
    assert "\n" not in str(caught.value)


def test_a_bundle_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="does not exist"):
        load_bundle(str(tmp_path / "nowhere"))


def test_a_truncated_model_without_a_digest_is_refused_too(train: Train, write_bundle: Callable[..., Path]) -> None:
    with pytest.raises(StartError, match="cut short or damaged"):
        load_bundle(str(write_bundle(train(("a", "b"))[:-100])), SingleView("people"))


def test_a_module_of_ones_own_adds_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_transforms")
    vars(module)["TRANSFORMS"] = {"double": lambda value: value * 2}
    monkeypatch.setitem(sys.modules, "my_transforms", module)
    found = load_transforms("my_transforms")
    assert set(found) == {*BUILT_IN, "double"}
    assert found["double"](np.array([2.0])).tolist() == [4.0]
    assert load_transforms(None) is BUILT_IN


@pytest.mark.parametrize("functions", [None, 5, {"x": 5}])
def test_a_module_that_holds_no_functions_is_refused(monkeypatch: pytest.MonkeyPatch, functions: object) -> None:
    module = ModuleType("my_transforms")
    if functions is not None:
        vars(module)["TRANSFORMS"] = functions
    monkeypatch.setitem(sys.modules, "my_transforms", module)
    with pytest.raises(StartError, match="KEYSCORE_TRANSFORMS: my_transforms cannot be used"):
        load_transforms("my_transforms")


def test_a_module_that_is_not_installed_is_refused() -> None:
    with pytest.raises(StartError, match=r"no_such_module_here cannot be used \(No module named"):
        load_transforms("no_such_module_here")
