"""How long to wait after attempts that failed.

A bucket counts failures. The first few cost nothing; from then on each has the next attempt wait twice as long, up to
a bound, and the bucket leaks: after some quiet time failures are forgotten one by one. So whoever guesses is slowed
down ever more, and whoever has merely forgotten is never locked out.
"""

import math
from dataclasses import dataclass

import msgspec

from totohio.base.errors import ERROR_TOO_MANY_REQUESTS, TotoException


@dataclass(frozen=True, slots=True)
class Rule:
    """How a kind of bucket slows attempts down.

    Attributes:
        free: Failures that cost nothing.
        first: Seconds to wait after the next one.
        most: Seconds to wait at most.
        leak: Seconds after which one failure is forgotten.
    """

    free: int
    first: float
    most: float
    leak: float


class Bucket(msgspec.Struct, array_like=True, frozen=True):
    """Failures that are counted.

    Attributes:
        failures: How many.
        last: When the last one was, in Unix seconds.
    """

    failures: float = 0.0
    last: float = 0.0


PAIR = Rule(free=5, first=1.0, most=900.0, leak=600.0)
"""One account from one address."""

ADDRESS = Rule(free=20, first=1.0, most=60.0, leak=60.0)
"""Any accounts from one address."""

ACCOUNT = Rule(free=50, first=1.0, most=60.0, leak=60.0)
"""One account from addresses from which its user has not logged in before. Those from which the user has are never
slowed down by it, so that nobody can lock the user out from elsewhere."""


def leaked(bucket: Bucket, rule: Rule, now: float) -> Bucket:
    """Give a bucket as it is now. A last failure in the future, after a clock has stepped back, counts as now."""
    quiet = max(0.0, now - bucket.last)
    return Bucket(max(0.0, bucket.failures - quiet / rule.leak), min(bucket.last, now))


def left(bucket: Bucket, rule: Rule, now: float) -> float:
    """Give the seconds until the next attempt may be made; 0.0 when it may be now.

    A last failure in the future is one by another machine's clock, which is ahead by some moments; when it is further
    ahead than the wait, the clock was set back, and nobody knows how long ago it was: then one attempt may be made.
    """
    over = math.ceil(leaked(bucket, rule, now).failures) - rule.free
    if over < 0:
        return 0.0
    wait: float = min(rule.most, rule.first * 2.0 ** min(over, 64.0))
    return max(0.0, bucket.last + wait - now) if bucket.last - now <= wait else 0.0


def failed(bucket: Bucket, rule: Rule, now: float) -> Bucket:
    """Give a bucket with one failure more."""
    before = leaked(bucket, rule, now)
    return Bucket(before.failures + 1.0, now)


def taken_back(bucket: Bucket, rule: Rule, now: float) -> Bucket:
    """Give a bucket with one failure less: the attempt that was counted has succeeded."""
    return Bucket(max(0.0, leaked(bucket, rule, now).failures - 1.0), min(bucket.last, now))


def lifetime(rule: Rule, bucket: Bucket) -> float:
    """Give the seconds after which a bucket is as good as none."""
    return bucket.failures * rule.leak + rule.most


def too_many(seconds: float, text: str = "Too many attempts have failed; try again later.") -> TotoException:
    """The error of an attempt that came too early."""
    error = TotoException(ERROR_TOO_MANY_REQUESTS, text)
    error.retry_after = round(seconds, 3)  # type: ignore[attr-defined]
    return error


class Allowance:
    """How many requests may come: so many a second, and as many at once when there were none for a second."""

    __slots__ = ("_last", "_left", "_rate")

    def __init__(self, rate: float, tyme: float) -> None:
        """Set it up, for ``rate`` requests a second, from a tyme on."""
        self._rate = rate
        self._left = max(1.0, rate)
        self._last = tyme

    def take(self, tyme: float) -> bool:
        """Tell whether one may come now, and count it if so."""
        self._left = min(max(1.0, self._rate), self._left + (tyme - self._last) * self._rate)
        self._last = tyme
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
