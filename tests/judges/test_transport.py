import random
from datetime import UTC, datetime

import pytest

from veridical.judges.transport import back_off, retry_after


def test_the_wait_doubles_up_to_the_longest_and_is_spread():
    rng = random.Random(0)
    for attempt, whole in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (5000, 10.0)):
        waits = [back_off(attempt, first=1.0, longest=10.0, rng=rng) for _ in range(200)]
        assert min(waits) >= whole / 2
        assert max(waits) <= whole
        assert max(waits) - min(waits) > whole / 4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 01 Jan 2030 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 31 Dec 2029 23:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 01 Jan 2030 00:00:30"}, 30.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_what_the_endpoint_asks_for(headers, seconds):
    assert retry_after(headers, now=datetime(2030, 1, 1, tzinfo=UTC)) == seconds
