import json
from pathlib import Path

import pytest

from load_tests.__main__ import parser, results_of, tell
from load_tests.capacity import NotMeasurable
from load_tests.objectives import at_most, none_of
from load_tests.profiles.base import Options, Profile, Results, names
from load_tests.verdict import Verdict, overall

RESULTS = Results([at_most("p99", 3, 20, "ms"), none_of("wrong answers", 1, 100)])


def profile(error: Exception | None = None) -> Profile:
    async def run(_: Options) -> Results:
        if error is not None:
            raise error
        return RESULTS

    return Profile("some", "something", "something else", run)


def test_the_help_lists_every_profile() -> None:
    told = parser().format_help()
    assert all(f"  {name} " in told for name in names())


def test_an_unknown_profile_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["unknown"])
    assert "invalid choice: 'unknown'" in capsys.readouterr().err


def test_a_profile_hands_back_what_it_found() -> None:
    assert results_of(profile(), Options()) is RESULTS


def test_a_profile_without_a_capacity_is_void() -> None:
    found = results_of(profile(NotMeasurable("not even 100 requests/s are held")), Options())
    assert overall(found.objectives) is Verdict.VOID
    assert found.objectives[0].void == "not even 100 requests/s are held"


def test_standard_output_is_one_json_object_per_objective(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "report.html"
    tell(profile(), Options(seed=5), RESULTS, page, 1.0)
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["objective"], line["verdict"], line["seed"]) for line in lines] == [
        ("p99", "PASS", 5),
        ("wrong answers", "FAIL", 5),
    ]
    assert "FAIL: 1 of 2 objectives missed" in err
    assert "wrong answers" in page.read_text(encoding="utf-8")
