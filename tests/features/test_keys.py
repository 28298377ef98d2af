"""One entity has exactly one spelling."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidKey
from features.keys import MAX_KEY_LENGTH, KeyDType, KeyPart, make_key, make_key_text

STRING = KeyPart("customer_id")
INT64 = KeyPart("account", KeyDType.INT64)

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=50)
_INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("value", "as_string", "as_int64"),
    [
        ("007", "007", None),
        ("7", "7", "7"),
        (7, "7", "7"),
        (7.0, "7", "7"),
        (1001.0, "1001", "1001"),
        (-0.0, "0", "0"),
        ("-0", "-0", None),
        ("+7", "+7", None),
        ("7.0", "7.0", None),
        (" 7", " 7", None),
        ("7\n", "7\n", None),
        ("1_000", "1_000", None),
        ("\u0667", "\u0667", None),
        ("0", "0", "0"),
        (-7, "-7", "-7"),
        ("-7", "-7", "-7"),
        (2**53 - 1.0, "9007199254740991", "9007199254740991"),
        (2**53 + 1, "9007199254740993", "9007199254740993"),
        (2**63 - 1, "9223372036854775807", "9223372036854775807"),
        ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
        (-(2**63), "-9223372036854775808", "-9223372036854775808"),
        (2**63, "9223372036854775808", None),
        ("9223372036854775808", "9223372036854775808", None),
        (2.0**53, None, None),
        (-(2.0**53), None, None),
        (1001.5, None, None),
        (1e300, None, None),
        (math.nan, None, None),
        (math.inf, None, None),
        (True, None, None),
        (False, None, None),
        (None, None, None),
        (["a"], None, None),
        ({"a": 1}, None, None),
        (b"a", None, None),
        ("", None, None),
        ("Ω ключ 🙂", "Ω ключ 🙂", None),
        ("a\x00b", None, None),
        ("\ud800", None, None),
        ("x" * MAX_KEY_LENGTH, "x" * MAX_KEY_LENGTH, None),
        ("x" * (MAX_KEY_LENGTH + 1), None, None),
        (10 ** (MAX_KEY_LENGTH - 1), "1" + "0" * (MAX_KEY_LENGTH - 1), None),
        (10**MAX_KEY_LENGTH, None, None),
    ],
)
def test_the_table_of_keys(value: object, as_string: str | None, as_int64: str | None) -> None:
    """Each value has the one spelling that the table gives it, or is refused; None stands for refused."""
    for part, expected in ((STRING, as_string), (INT64, as_int64)):
        if expected is None:
            with pytest.raises(InvalidKey, match=part.name):
                make_key_text(value, part)
        else:
            assert make_key_text(value, part) == expected


@pytest.mark.parametrize(
    ("value", "part", "advice"),
    [
        (True, STRING, "must be a string or an integer, not true or false"),
        (1.5, STRING, "must be a string or an integer below 2^53"),
        ("", STRING, "must not be empty"),
        ("x" * 5000, STRING, "at most 4076 characters"),
        ("\x00", STRING, "without NUL and without lone surrogates"),
        ("007", INT64, "a 64-bit integer, or its decimal digits without leading zeros"),
    ],
)
def test_a_refusal_names_the_part_and_says_what_can_be_a_key(value: object, part: KeyPart, advice: str) -> None:
    with pytest.raises(InvalidKey) as refused:
        make_key_text(value, part)
    assert repr(part.name) in str(refused.value)
    assert advice in str(refused.value)


def test_an_integer_that_python_will_not_spell_out_is_refused_like_any_long_key() -> None:
    for number in (10**5000, -(10**5000)):
        with pytest.raises(InvalidKey, match="at most 4076 characters"):
            make_key_text(number, STRING)


@given(st.sampled_from(["sEcReT", "\ud800sEcReT", "sEcReT\x00", "sEcReT" * 999]))
def test_a_refusal_never_repeats_what_the_caller_sent(value: str) -> None:
    with pytest.raises(InvalidKey) as refused:
        make_key_text(value if value != "sEcReT" else [value], STRING)
    assert "sEcReT" not in str(refused.value)


@given(_INT64)
def test_all_spellings_of_one_integer_are_one_key(number: int) -> None:
    spellings: list[object] = [number, str(number)]
    if abs(number) < 2**53:
        spellings.append(float(number))
    assert {make_key_text(one, part) for one in spellings for part in (STRING, INT64)} == {str(number)}


@given(_TEXT)
def test_a_string_key_is_the_string_itself(text: str) -> None:
    """So two different strings never become one key."""
    assert make_key_text(text, STRING) == text


@given(st.text(max_size=20) | _INT64 | st.floats() | st.booleans() | st.none())
def test_making_a_key_of_a_key_changes_nothing(value: object) -> None:
    for part in (STRING, INT64):
        try:
            key = make_key_text(value, part)
        except InvalidKey:
            continue
        assert make_key_text(key, part) == key


def test_one_part_makes_a_text_and_several_make_a_tuple() -> None:
    assert make_key(["C1"], [STRING]) == "C1"
    assert make_key(["C1", 7.0], [STRING, INT64]) == ("C1", "7")


@pytest.mark.parametrize("values", [[], ["a"], ["a", 1, 2]])
def test_a_key_has_as_many_values_as_parts(values: list[object]) -> None:
    with pytest.raises(InvalidKey, match=r"the key has 2 part\(s\): customer_id, account"):
        make_key(values, [STRING, INT64])
