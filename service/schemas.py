"""The wire, as pydantic models: what `parameters` may hold, and what the answers look like.

Answers are built by hand (`responses.py`) and these models describe them in the OpenAPI document; a test holds the two
together.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.values import Source, Status


class Parameters(BaseModel):
    """What one request demands; all optional, an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    response: Literal["simple", "detailed"] | None = None
    """Style of the answer; the route decides if not given. So one Vertex AI route serves both styles."""

    max_cached_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How many seconds ago a feature may have been read; 0 is a read that begins after this request arrived."""

    max_age_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How old a feature may be by its event time, in seconds; the tighter of this and the view's bound counts."""

    on_error: Literal["fail", "null"] = "fail"
    """An instance that cannot be scored fails the request, or answers null (an error object in detail) in its place."""

    on_degraded: Literal["allow", "fail"] = "allow"
    """Whether values may be substituted because of an error, or be served beyond stale-while-revalidate."""

    timeout_ms: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    """Budget of this request in milliseconds, from its arrival; more than the service allows counts as that."""

    extra: Literal["refuse", "ignore"] = "refuse"
    """What to do about undeclared members of an instance object."""


class FeatureValue(BaseModel):
    """One value that was used, and its story."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    value: float | int | bool | str | None
    """The value; null where the model was told "missing", and where it is masked."""

    status: Status
    """What the store said about it."""

    source: Source
    """Where the value that was used came from."""

    age_s: float | None
    """Seconds since its event time; null if the store gives none."""

    cached_s: float | None
    """Seconds since the read that brought it; null where no read did."""

    masked: bool = False
    """True where the feature is sensitive, so its value was used but is not shown; absent elsewhere."""


class ModelIdentity(BaseModel):
    """Which model answered."""

    bundle: str
    version: str
    digest: str


class DetailedPrediction(BaseModel):
    """One instance's answer in full."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    entity_id: str | dict[str, str]
    """The key; with several keys, an object of key name to key."""

    classes: list[str] | None
    """Class labels in the model's order; null for regression."""

    scores: list[float]
    """Probabilities in the order of `classes`, or the regression's outputs."""

    predicted_class: str | None
    """The most probable class, or the one the model's own threshold picks; null for regression."""

    features: dict[str, FeatureValue]
    """Every feature in the model's order."""

    degraded: int
    """How many values were substituted because of an error, or served beyond stale-while-revalidate."""

    model: ModelIdentity


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Stable name of the problem; callers may switch on it."""

    title: str
    status: int
    detail: str
    request_id: str | None = None
    index: int | None = None
    """Position in `instances` of the instance at fault, from 0."""

    field: str | None = None
    """Name of the key or request field at fault."""

    feature: str | None = None
    """Name of the feature at fault."""

    view: str | None = None
    """Name of the feature view it comes from."""


class InstanceError(BaseModel):
    """Stands for an instance that could not be scored (`on_error: null` in detail)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    entity_id: str | dict[str, str] | None
    """As in a prediction; null where the keys could not be understood."""

    error: ProblemDocument


class SimpleAnswer(BaseModel):
    """Scores, one list per instance, in order; null for an instance that could not be scored."""

    predictions: list[list[float] | None]


class DetailedAnswer(BaseModel):
    """The whole story, one object per instance, in order."""

    predictions: list[DetailedPrediction | InstanceError]


class Health(BaseModel):
    """How the service is."""

    status: Literal["alive", "ready"]


class Metadata(BaseModel):
    """What is being served."""

    bundle: ModelIdentity
    model: dict[str, Any]
    keys: list[dict[str, Any]]
    request: list[dict[str, Any]]
    views: list[dict[str, Any]]
    features: list[dict[str, Any]]
    detailed: bool
    limits: dict[str, Any]
