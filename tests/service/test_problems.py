"""Every error has a problem document of its own, which names what may be named and nothing else."""

import json
from types import ModuleType

import pytest

from features import errors as features_errors
from model import errors as model_errors
from service import errors
from service.problems import INTERNAL, TABLE, Problem, problem_for

STORE_WORDS = "/var/secret/path is locked"
EXAMPLES: list[tuple[Exception, int, str]] = [
    (errors.BodyMalformed("not JSON"), 400, "malformed-body"),
    (errors.BodyTooSlow("slow"), 408, "body-too-slow"),
    (errors.BodyTooLarge("large"), 413, "body-too-large"),
    (errors.MediaTypeUnsupported("media"), 415, "unsupported-media-type"),
    (errors.RequestInvalid("request"), 422, "invalid-request"),
    (features_errors.InstanceInvalid("instance", field="amount"), 422, "invalid-instance"),
    (errors.DegradedRefused("degraded"), 503, "features-degraded"),
    (errors.Shed("full"), 503, "overloaded"),
    (features_errors.EntityNotFound("no row", feature="f", view="v"), 404, "entity-not-found"),
    (features_errors.FeatureAbsent("null", feature="f", view="v"), 422, "feature-absent"),
    (features_errors.StoreError(STORE_WORDS), 503, "features-unavailable"),
    (features_errors.StoreUnavailable(STORE_WORDS), 503, "features-unavailable"),
    (features_errors.StoreFileError(STORE_WORDS), 503, "features-unavailable"),
    (features_errors.StoreFailed(STORE_WORDS), 503, "features-unavailable"),
    (features_errors.StoreExhausted(STORE_WORDS), 503, "features-unavailable"),
    (features_errors.StoreTimeout(STORE_WORDS), 504, "features-timeout"),
    (features_errors.StoreDenied(STORE_WORDS), 502, "store-denied"),
    (features_errors.StoreAnswerInvalid(STORE_WORDS), 502, "features-invalid"),
    (features_errors.StoreViewUnreadable(STORE_WORDS), 502, "features-invalid"),
    (features_errors.StoreFileChanged(STORE_WORDS), 502, "features-invalid"),
    (features_errors.StoreAnswerTooLarge(STORE_WORDS), 502, "features-invalid"),
    (features_errors.DeadlineExceeded("late"), 504, "deadline-exceeded"),
    (model_errors.ScoreNotFinite(), 422, "score-not-finite"),
]
FOR_THE_OPERATOR = {
    errors.ServiceError,
    errors.StartError,
    errors.JobRefused,
    errors.JobStopped,
    features_errors.SpecError,
    features_errors.InvalidKey,  # becomes an InstanceInvalid
    features_errors.FeaturesError,
    features_errors.FeatureError,
    features_errors.WriteFailed,  # `keyscore put`'s
    errors.RequestError,
}
TAKE_THE_ROW_OF_AN_ANCESTOR = {
    errors.RowUnreadable,
    features_errors.StoreUnavailable,
    features_errors.StoreFileError,
    features_errors.StoreFailed,
    features_errors.StoreExhausted,
    features_errors.StoreAnswerTooLarge,
    features_errors.StoreViewUnreadable,
    features_errors.StoreFileChanged,
}


def raised_by(module: ModuleType) -> set[type[Exception]]:
    return {
        found for found in vars(module).values() if isinstance(found, type) and issubclass(found, Exception)
    } - FOR_THE_OPERATOR


@pytest.mark.parametrize(("error", "status", "slug"), EXAMPLES, ids=lambda one: getattr(one, "slug", None))
def test_every_error_has_its_status_and_stable_type(error: Exception, status: int, slug: str) -> None:
    document = json.loads(problem_for(error).body("id-1"))
    assert document["type"] == f"urn:keyscore:problem:{slug}"
    assert document["status"] == status
    assert document["request_id"] == "id-1"
    assert document["title"]
    assert document["detail"]
    assert STORE_WORDS not in json.dumps(document)


def test_a_score_that_is_not_finite_is_told_with_the_instance_and_not_to_be_asked_for_again() -> None:
    problem = problem_for(errors.InstanceFailed(3, model_errors.ScoreNotFinite()))
    assert (problem.detail, problem.members) == (
        "instance 3: the model gave a score that is not a finite number",
        {"index": 3},
    )
    assert "retry-after" not in problem.headers()


def test_no_error_that_a_request_can_meet_is_left_out_of_the_table() -> None:
    carriers = {errors.InstanceFailed, features_errors.FeatureUnread}  # they take the row of what they carry
    told_elsewhere = {one for one in raised_by(errors) if one.__name__ == "TableError"}  # the command line's
    known = set(TABLE) | carriers | told_elsewhere | TAKE_THE_ROW_OF_AN_ANCESTOR
    assert raised_by(errors) | raised_by(features_errors) == known


def test_one_type_has_one_status_and_one_title() -> None:
    rows: dict[str, tuple[int, str]] = {}
    for row in TABLE.values():
        assert rows.setdefault(row.uri, (row.status, row.title)) == (row.status, row.title)


def test_the_instance_at_fault_is_named_by_its_index() -> None:
    inner = features_errors.InstanceInvalid("'amount' must be at least 0", field="amount")
    document = problem_for(errors.InstanceFailed(3, inner)).document()
    assert document["status"] == 422
    assert document["detail"] == "instance 3: 'amount' must be at least 0"
    assert (document["index"], document["field"]) == (3, "amount")


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (features_errors.StoreUnavailable(STORE_WORDS), 503),
        (features_errors.StoreDenied(STORE_WORDS), 502),
        (features_errors.DeadlineExceeded("late"), 504),
    ],
)
def test_a_feature_that_could_not_be_read_takes_the_status_of_the_cause(
    cause: features_errors.FeaturesError, status: int
) -> None:
    unread = features_errors.FeatureUnread("'f' of 'v' could not be read", feature="f", view="v", cause=cause)
    document = problem_for(errors.InstanceFailed(0, unread)).document()
    assert document["status"] == status
    assert (document["index"], document["feature"], document["view"]) == (0, "f", "v")
    assert STORE_WORDS not in json.dumps(document)


@pytest.mark.parametrize("error", [RuntimeError("secret"), ValueError("secret"), errors.StartError("secret")])
def test_what_is_in_no_row_is_a_mistake_of_ours_and_says_nothing(error: Exception) -> None:
    problem = problem_for(error)
    assert problem.type is INTERNAL
    assert b"secret" not in problem.body("id-1")


def test_what_may_pass_says_when_to_try_again_and_what_ends_the_connection_says_so() -> None:
    for row in TABLE.values():
        headers = Problem(row, "x").headers()
        assert headers["content-type"] == "application/problem+json"
        assert ("retry-after" in headers) == (row.status == 503)
        assert (headers.get("connection") == "close") == (row.status in (408, 413))


def test_what_is_wrong_with_an_answer_is_told_in_the_specs_own_names() -> None:
    cause = features_errors.StoreAnswerInvalid("column 'f7' does not hold a float")
    unread = features_errors.FeatureUnread("'f' of 'v' could not be read", feature="f", view="v", cause=cause)
    assert problem_for(unread).detail == "'f' of 'v' could not be read: column 'f7' does not hold a float"
