"""How long to wait before trying again: back-off with jitter, and what the endpoint itself asks for."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def back_off(attempt: int, *, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after a failed attempt: doubled each time up to the longest, a random half to whole of it.

    Args:
        attempt: How many attempts have failed, from 1.
        first: Wait after the first, before the jitter.
        longest: Upper limit.
        rng: Where the jitter comes from, so that many clients do not come back at once.
    """
    whole = min(longest, first * 2.0 ** min(attempt - 1, 60))
    return whole * rng.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that the endpoint asks to wait (`Retry-After`, in seconds or as a date); None where it does not say.

    >>> retry_after({"retry-after": "2.5"}), retry_after({"retry-after-ms": "300"}), retry_after({})
    (2.5, 0.3, None)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
