"""A record that is none costs no other, until nobody can tell where the next one begins."""

import io

import pytest

from features.csv_records import Records, RecordsBroken


def records(content: bytes) -> Records:
    return Records(io.BytesIO(content), "in.csv")


@pytest.mark.parametrize("most", [1, 2, 100])
def test_every_record_comes_with_its_line_and_with_what_is_wrong_with_it(most: int) -> None:
    reader = records(b'\xef\xbb\xbfid,n\r\n1,"a\r\nb"\r\n\r\n2\r\n"3"x,c\r\n4\xff,d\r\n5,e')
    assert reader.header() == ["id", "n"]
    found = []
    while taken := reader.take(most):
        rows = zip(taken.lines, taken.records, strict=True)
        found += [(line, cells, taken.unreadable.get(at)) for at, (line, cells) in enumerate(rows)]
    assert found == [
        (2, ["1", "a\r\nb"], None),
        (5, ["2", ""], "has 1 cells, the header has 2"),
        (6, ["", ""], "is not CSV (',' expected after '\"')"),
        (7, ["4\ufffd", "d"], "is not UTF-8 text; save the file as UTF-8"),
        (8, ["5", "e"], None),
    ]


def test_behind_a_quote_that_is_never_closed_there_are_no_records() -> None:
    reader = records(b'id\n1\n"2\n3\n')
    reader.header()
    assert reader.take(1) == (range(2, 3), [["1"]], {})
    with pytest.raises(RecordsBroken, match=r"in\.csv: line 3: the file ends inside a quoted cell"):
        reader.take(1)


def test_a_header_has_to_be_text_and_a_record() -> None:
    with pytest.raises(RecordsBroken, match=r"in\.csv: line 1: is not UTF-8 text"):
        records(b"id,\xff\n").header()
    with pytest.raises(RecordsBroken, match=r"in\.csv: line 1: is not CSV"):
        records(b'"id"x\n').header()
