"""Everything that can go wrong with a request or a start, placed on the way that a request takes.

    start    ──► StartError            the operator is at fault: settings, bundle or store
    load     ──► TableError            a file with rows for the store or for `batch`, or a value in it
    batch    ──► JobRefused            files or options do not allow the job
             ──► JobStopped            it cannot go on; what is finished stays
             ──► RowUnreadable         one row of the file is none
    admit    ──► TimeoutInvalid        the header with the request's budget
             ──► Shed                  too much is in flight
    identify ──► Unauthenticated       no ID token that this service takes
             ──► KeysUnavailable       nobody gives us the keys to tell
    receive  ──► MediaTypeUnsupported, BodyTooLarge, BodyTooSlow
    parse    ──► BodyMalformed         not JSON
             ──► RequestInvalid        JSON, but not a request
             ──► features.errors.InstanceInvalid  one instance is of no known shape or holds a bad value
             ──► DetailedOff           the operator gives no detailed answers
    assemble ──► InstanceFailed        one instance cannot be scored; carries the feature error and the index
             ──► DegradedRefused       the caller forbade degraded values
    score    ──► InstanceFailed        the model gives one instance no finite score; carries that error
    anywhere ──► features.errors.DeadlineExceeded

Messages hold names from the spec and positions, never what the caller sent. `problems.py` gives each its status.
"""

from features.errors import FeaturesError, InstanceInvalid
from model.errors import ScoreNotFinite


class ServiceError(Exception):
    """Root of what this package raises on purpose."""


class StartError(ServiceError):
    """The service cannot start; one line that says why and what to do."""


class TableError(ServiceError):
    """A file cannot be read as rows; names the file, the row and what to do, for the operator."""


class JobRefused(ServiceError):
    """A batch job cannot begin or be resumed as it was asked for; says why and what to do."""


class JobStopped(ServiceError):
    """A batch job cannot go on; says why. What it has finished can be resumed from."""


class RequestError(ServiceError):
    """Root of what is wrong with one request."""


class Unauthenticated(RequestError):
    """The caller has not shown who it is; the message never says what is wrong with what it showed."""


class KeysUnavailable(RequestError):
    """Whoever it is, it cannot be told: the issuer's keys could not be fetched yet."""


class DetailedOff(RequestError):
    """Detailed answers are not given here."""

    def __init__(self) -> None:
        super().__init__("detailed answers are off here (KEYSCORE_DETAILED); ask /predict for a simple one")


class MediaTypeUnsupported(RequestError):
    """The body is not declared as plain JSON."""


class TimeoutInvalid(RequestError):
    """The header X-Request-Timeout-Ms is not a number of milliseconds, at least 1."""


class BodyTooLarge(RequestError):
    """The body is larger than the limit."""


class BodyTooSlow(RequestError):
    """The body did not arrive in time."""


class BodyMalformed(RequestError):
    """The body is not JSON text in UTF-8."""


class RequestInvalid(RequestError):
    """The body is JSON, but not a request."""


class RowUnreadable(InstanceInvalid):
    """One row of a file is none: no JSON, cells too few or too many, a damaged record. Others can still be read."""


class InstanceFailed(RequestError):
    """One instance cannot be scored, so the whole request fails.

    Attributes:
        index: Its position in `instances`, from 0.
        reason: Why.
    """

    def __init__(self, index: int, reason: FeaturesError | ScoreNotFinite) -> None:
        super().__init__(f"instance {index}: {reason}")
        self.index = index
        self.reason = reason


class DegradedRefused(RequestError):
    """Values had to be substituted because of an error, or were too stale, and the caller forbade that."""


class Shed(RequestError):
    """Too many requests are in flight, or they wait for too long; this one was refused at once."""
