"""A library can be kept from importing what we do not need of it."""

import sys

import pytest

from model.imports import unimportable


def test_what_is_unimportable_is_so_only_while_it_lasts() -> None:
    with unimportable("tabnanny"), pytest.raises(ImportError):
        import tabnanny  # noqa: PLC0415  # the point of the test
    import tabnanny  # noqa: F401, PLC0415  # same


def test_what_has_been_imported_stays() -> None:
    with unimportable("json"):
        import json  # noqa: PLC0415  # the point of the test
    assert sys.modules["json"] is json
