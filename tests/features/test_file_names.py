import pytest

from features.file_names import format_named


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.csv", "csv"),
        ("a/b.c/payments.CSV.gz", "csv"),
        ("gs://bucket/rows-*.ndjson", "jsonl"),
        ("a.jsonl", "jsonl"),
        ("a.pq", "parquet"),
        ("a.tfrecord.gz", "tfrecord"),
        ("a.csv.bak", None),
        ("gz.gz", None),
        ("csv", None),
        ("-", None),
    ],
)
def test_the_end_of_a_name_tells_the_format_and_gzip_does_not_count(name: str, told: str | None) -> None:
    assert format_named(name) == told
