"""Everything that can go wrong with features, placed on the way that data takes.

    bundle ──► SpecError                       the bundle's author is at fault
    caller ──► keys ──► InvalidKey             the caller is at fault
           ──► instances ──► InstanceInvalid   one instance is of no known shape or holds a bad value
    store  ──► StoreUnavailable                nobody answered, or not now
           ──► StoreFailed                     it made a mistake of its own
           ──► StoreExhausted                  we asked for more than our quota
           ──► StoreTimeout                    the read took longer than it may
           ──► StoreDenied                     our identity was refused
           ──► StoreAnswerInvalid              it answered, but nonsense
                 StoreViewUnreadable           whatever the key: there is no such view
                 StoreFileChanged              for once: the file was written to meanwhile
           ──► WriteFailed                 `keyscore put` was refused
    rows   ──► assembly ──► EntityNotFound     no row, and the policy is `fail`
                        ──► FeatureAbsent      null or too old, and the policy is `fail`
                        ──► FeatureUnread      its read failed, and the policy is `fail`
    waiting anywhere    ──► DeadlineExceeded   the request's time is over

Messages may hold names from the spec and positions. They never hold what a caller or a store sent: `SpecError`,
`StoreFileError` and `WriteFailed`, which are read by the operator only, are the exceptions.
"""

from typing import ClassVar, TypeVar

E = TypeVar("E", bound=BaseException)


class FeaturesError(Exception):
    """Root of what this package raises on purpose."""


def without_history(error: E) -> E:
    """An error that is told from now on, not raised: it alone, without traceback and causes.

    A traceback holds the frames that the error went through, and these hold the error, what failed with it and all that
    was worked on. What refers to itself is freed by the garbage collector only, which has hours between its looks at
    what has lived for a while (`service.serving`): in an outage that is 5 kB for every request that fails.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


class SpecError(FeaturesError):
    """The serving spec cannot be used as written.

    Attributes:
        where: `file:line: path.to.key`, as far as known.
        problem: What is wrong and what to write instead.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem


class InvalidKey(FeaturesError):
    """A value cannot be an entity key; the message says which values can."""


class InstanceInvalid(FeaturesError):
    """One instance cannot be understood.

    Attributes:
        field: Name of the key or request field at fault, if it is one.
        keys: The key texts of the instance, where these could be understood; for the answer, not for the message.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.keys: tuple[str, ...] | None = None


class StoreError(FeaturesError):
    """A read failed. Shared by everybody who waited for it, never cached."""

    outcome: ClassVar[str] = "error"


class StoreUnavailable(StoreError):
    """The store did not answer, or said that it cannot now."""

    outcome = "unavailable"


class StoreFailed(StoreError):
    """The store made a mistake of its own; asking again at once is no use."""

    outcome = "failed"


class StoreExhausted(StoreError):
    """We asked for more than our quota.

    Attributes:
        retry_after_s: When the store wants to be asked again, if it says.
    """

    outcome = "exhausted"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreTimeout(StoreError):
    """The store did not answer within the time that a read may take."""

    outcome = "timeout"


class StoreDenied(StoreError):
    """The store refused our identity; waiting does not help."""

    outcome = "denied"


class StoreAnswerInvalid(StoreError):
    """The store's answer cannot be right: wrong type, wrong entity or malformed."""

    outcome = "invalid"


class StoreAnswerTooLarge(StoreAnswerInvalid):
    """The store's answer is larger than we take; asking again would bring it once more."""


class StoreViewUnreadable(StoreAnswerInvalid):
    """No key of a view can be read, as where the view does not exist; says nothing about the one that was asked for."""


class StoreFileChanged(StoreAnswerInvalid):
    """The embedded store's file changed while it was being read; reading again helps."""


class StoreFileError(StoreUnavailable):
    """The embedded store's file is missing, locked or not a database; the message names it, for the operator."""


class WriteFailed(FeaturesError):
    """The store did not take a write; the message holds its own words, for the operator."""


class DeadlineExceeded(FeaturesError):
    """The request's deadline has passed."""


class FeatureError(FeaturesError):
    """One feature of one instance cannot be used, and the policy is `fail`.

    Attributes:
        feature: The feature's name in the spec.
        view: The feature view it comes from.
    """

    def __init__(self, message: str, *, feature: str, view: str) -> None:
        super().__init__(message)
        self.feature = feature
        self.view = view


class EntityNotFound(FeatureError):
    """The view holds no row for this entity."""


class FeatureAbsent(FeatureError):
    """The value is null, or older than it may be."""


class FeatureUnread(FeatureError):
    """The value could not be read.

    Attributes:
        cause: Why the read failed; decides the status of the answer.
    """

    def __init__(self, message: str, *, feature: str, view: str, cause: FeaturesError) -> None:
        super().__init__(message, feature=feature, view=view)
        self.cause = cause
