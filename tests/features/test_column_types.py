"""A number is made of text only where nothing is lost: the rules, and that they hold for whatever a file holds."""

import csv
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.column_types import TextType
from features.keys import KeyPart
from features.values import DType
from service.loading import LoadPlan, load, survey
from service.tables import open_table

RULES = {
    "float": (["1.5", "-0.25", "3"], [".5"], ["1e-05", "1.5E+20"], ["0.1", "NaN"], ["-0", "2"], ["1.0", "inf"], [""]),
    "int": (["0", "-7", "42"], ["1", "", "2"], ["9223372036854775807"], ["1", "NaN"], ["9007199254740993"]),
    "bool": (["true", "false"], ["True", ""], ["TRUE", "FALSE"]),
    "string": (
        ["007"], ["1", "01"], ["1.5", "00.5"], ["+5"], ["1e5"], ["1,000"], ["0x1F"], ["1_000"], ["5."], [" 5"],
        ["9223372036854775808"], ["1.5", "9007199254740993"], ["NaN"], ["inf"], ["NaN", "inf"], ["true", "1"],
        ["true", "NaN"], ["yes"], ["٣"], ["2026-01-31"], ["1" * 5000], ["null"], ["x", "1"], ["1", "x"], ["-"], ["."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "dtype"), [(cells, dtype) for dtype, columns in RULES.items() for cells in columns], ids=str
)
def test_the_type_of_a_column_of_text(cells: list[str], dtype: str) -> None:
    whole = TextType()
    whole.take(cells)
    assert whole.dtype() == dtype


@pytest.mark.parametrize(
    ("cells", "dtype"), [(cells, dtype) for dtype, columns in RULES.items() for cells in columns], ids=str
)
def test_the_type_does_not_depend_on_batches(cells: list[str], dtype: str) -> None:
    piecemeal = TextType()
    for cell in reversed(cells):
        piecemeal.take([cell])
    assert piecemeal.dtype() == dtype


def read_back(column: Sequence[str]) -> tuple[DType, list[object]]:
    """The type and the values that a column of cells has in the store."""
    with tempfile.TemporaryDirectory() as folder:
        file, store = Path(folder, "rows.csv"), Path(folder, "store.sqlite")
        with file.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("id", "a"), *enumerate(column)])
        table, plan = open_table(file), LoadPlan("v", (KeyPart("id"),))
        surveyed = survey(table, plan, lambda *_: None)
        load(table, plan, surveyed, store, lambda *_: None)
        connection = sqlite3.connect(store)
        rows = {key: json.loads(row) for key, row in connection.execute("SELECT key, row FROM rows")}
        connection.close()
    return surveyed.columns["a"].dtype, [rows[str(at)]["values"]["a"] for at in range(len(column))]


number = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(-3e38, 3e38).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.from_regex(r"-?0*[0-9]{1,25}(\.[0-9]{1,20})?", fullmatch=True),
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
word = st.sampled_from(["true", "False", "NaN", "nan", "", "007", "1e5", "-0", "null", "inf?", "0", "1", "1.50"])


@settings(max_examples=300)
@given(
    st.one_of(*(st.lists(cells, min_size=1, max_size=6) for cells in (number, text, word, number | word, text | word)))
)
@example(["0.1", "9007199254740992"])
@example(['"', "\r", "\n", ",", "\x00", " "])
def test_what_is_read_back_is_the_same_text_or_the_exact_number(column: list[str]) -> None:
    dtype, values = read_back(column)
    for cell, value in zip(column, values, strict=True):
        if not cell or (cell.lower() == "nan" and dtype in (DType.INT, DType.FLOAT)):
            assert value is None
        elif dtype is DType.STRING:
            assert value == cell
        elif dtype is DType.BOOL:
            assert value is {"true": True, "false": False}[cell.lower()]
        elif dtype is DType.INT:
            assert str(value) == cell
        else:
            assert value == float(cell)
            assert cell.lstrip("-").isdigit() is False or int(value) == int(cell)


@given(st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=5))
def test_floats_as_python_writes_them_are_the_same_64_bits(column: list[float]) -> None:
    _, values = read_back([repr(value) for value in column])
    assert [float(value).hex() for value in values] == [value.hex() for value in column]
