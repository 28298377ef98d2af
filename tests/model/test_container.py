"""A file that is not a whole model is refused before CatBoost reads it."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.container import check_container
from model.errors import ModelInvalid
from model.scorer import CatBoostScorer

Train = Callable[[str], Any]  # conftest's Trained; test folders are not packages


def core_end(blob: bytes) -> int:
    return 8 + int.from_bytes(blob[4:8], "little")


def test_a_whole_model_passes(each: Any) -> None:
    check_container(each.blob)


@pytest.mark.parametrize("case", ["binary", "multiclass", "words only"])
def test_a_model_cut_short_anywhere_is_refused(trained: Train, case: str) -> None:
    """But for one place, the end of the core, where CatBoost itself misses the tables."""
    blob = trained(case).blob
    for size in range(len(blob)):
        if size == core_end(blob):
            with pytest.raises(ModelInvalid):
                CatBoostScorer.from_bytes(blob[:size])
        else:
            with pytest.raises(ModelInvalid):
                check_container(blob[:size])


def test_words_have_tables_after_the_core(trained: Train) -> None:
    """Else the test above would cut nothing of them."""
    blob = trained("words only").blob
    assert core_end(blob) < len(blob)


@pytest.mark.parametrize("case", ["binary", "words only"])
@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\0", b"CBM1" * 50])
def test_bytes_after_the_end_are_refused(trained: Train, case: str, extra: bytes) -> None:
    blob = trained(case).blob + extra
    if case == "binary" and extra == b"\0\0\0\0":
        check_container(blob)  # reads as a tail of no tables, which is harmless
    else:
        with pytest.raises(ModelInvalid, match="cut short or damaged"):
            check_container(blob)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "not a CatBoost model: save it with"),
        (b"\x00" * 5000, "not a CatBoost model"),
        (b'{"oblivious_trees": []}', "looks like JSON"),
        (pickle.dumps({"a": 1}), "looks like a Python pickle"),
        (b"PK\x03\x04....", "looks like a zip archive"),
        (b"\x08\x07\x12\x08CatBoost", "looks like ONNX"),
        (b"<?xml version='1.0'?>", "looks like XML"),
        (b"CBM", "not a CatBoost model"),
        (b"CBM1", "cut short"),
        (b"CBM1\x00\x00", "cut short"),
        (b"CBM1\xff\xff\xff\x7f....", "cut short"),
        (b"CBM1\xff\xff\xff\xff", "cut short"),
        (b"CBM1\xff\xff\xff\xff" + b"\xff" * 8 + b"....", "cut short"),
        (b"CBM1\x00\x00\x00\x00\xff\xff\xff\x7f", "cut short"),
    ],
)
def test_what_is_not_a_model_is_refused_in_plain_words(data: bytes, message: str) -> None:
    with pytest.raises(ModelInvalid, match=message) as caught:
        check_container(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"CBM1\x00\x00\x00\x00", b"CBM1\x10\x00\x00\x00" + b"\x5a" * 16])
def test_a_shell_without_a_model_is_refused_by_catboost(data: bytes) -> None:
    check_container(data)
    with pytest.raises(ModelInvalid, match="CatBoost cannot use the model file"):
        CatBoostScorer.from_bytes(data)


@pytest.mark.parametrize("form", ["json", "onnx", "cpp", "python"])
def test_other_formats_of_catboost_are_refused(trained: Train, tmp_path: Path, form: str) -> None:
    path = tmp_path / "model"
    trained("binary").model.save_model(path, format=form)
    with pytest.raises(ModelInvalid, match="not a CatBoost model"):
        CatBoostScorer.from_bytes(path.read_bytes())
