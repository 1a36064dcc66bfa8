"""Batches made ahead are those made at once: same order, same errors, same random state."""

import threading

import pytest
import torch
from torch.utils.data import DataLoader

from veridical.background import ahead
from veridical.training.run.read_ahead import ReadAhead


def loader_of(collate, *, rows=10):
    return DataLoader(list(range(rows)), batch_size=2, shuffle=True, collate_fn=collate)


def test_an_epoch_is_the_same_and_the_next_step_is_begun():
    torch.manual_seed(0)
    expected = list(loader_of(list))
    state = torch.get_rng_state()
    begun = []
    reading = ReadAhead(lambda rows: begun.append(rows) or rows)
    torch.manual_seed(0)
    batches = iter(loader_of(reading.submit))
    found = reading.take(batches, 2)
    reading._pool.submit(lambda: None).result()
    assert begun == expected[:4]
    found += [batch for _ in range(3) for batch in reading.take(batches, 2)]
    assert found == expected
    assert torch.equal(torch.get_rng_state(), state)
    reading.close()


def test_another_epoch_drops_what_was_begun_of_the_last():
    reading = ReadAhead(list)
    first = reading.take(iter(loader_of(reading.submit)), 1)
    other = reading.take(iter(loader_of(reading.submit)), 5)
    reading.close()
    assert len(first) == 1
    assert sorted(row for batch in other for row in batch) == list(range(10))


def test_an_error_comes_where_its_batch_would():
    def collate(rows):
        if 5 in rows:
            raise ValueError("row 5 is broken")
        return rows

    reading = ReadAhead(collate)
    batches = iter(DataLoader(list(range(8)), batch_size=2, collate_fn=reading.submit))
    assert reading.take(batches, 2) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="row 5"):
        reading.take(batches, 2)
    reading.close()


def test_work_ahead_keeps_its_order_and_stops_with_its_user():
    made = []

    def call(number):
        def make():
            made.append((number, threading.current_thread() is threading.main_thread()))
            return number

        return make

    assert list(ahead(map(call, range(5)))) == list(range(5))
    assert made == [(number, False) for number in range(5)]
    made.clear()
    results = ahead(map(call, range(100)))
    next(results)
    results.close()
    assert len(made) <= 3
