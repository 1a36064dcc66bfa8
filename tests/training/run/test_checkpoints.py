"""Resume points count only when they are whole."""

import pytest
import torch

from veridical.errors import StorageError
from veridical.training.run.checkpoints import (
    WEIGHTS,
    find_resume_point,
    is_complete,
    load_trainable,
    mark_complete,
    prune_resume_points,
    save_trainable,
)


def resume_point(folder, step, *, complete=True):
    point = folder / f"checkpoint-{step}"
    point.mkdir(parents=True)
    (point / "optimizer.pt").write_bytes(b"12345678")
    if complete:
        mark_complete(point)
    return point


def test_the_latest_whole_one_is_found(tmp_path):
    resume_point(tmp_path, 9)
    expected = resume_point(tmp_path, 10)
    resume_point(tmp_path, 11, complete=False)
    assert find_resume_point(tmp_path) == expected
    assert find_resume_point(tmp_path / "nowhere") is None


def test_a_file_cut_short_or_missing_makes_it_half_written(tmp_path):
    point = resume_point(tmp_path, 1)
    (point / "optimizer.pt").write_bytes(b"1234")
    assert not is_complete(point)
    (point / "optimizer.pt").unlink()
    assert not is_complete(point)


def test_flipped_bytes_are_found_and_named(tmp_path):
    """The size is the same, so that only the hash shows it; an earlier point is used if any."""
    point = resume_point(tmp_path, 2)
    (point / "optimizer.pt").write_bytes(b"12345679")
    assert not is_complete(point)
    with pytest.raises(StorageError, match=r"checkpoint-2/optimizer.pt` differs from what was"):
        find_resume_point(tmp_path)
    earlier = resume_point(tmp_path, 1)
    assert find_resume_point(tmp_path) == earlier


def test_a_damaged_mark_of_completion_does_not_count(tmp_path):
    point = resume_point(tmp_path, 1)
    (point / "complete.json").write_text("{")
    assert not is_complete(point)


def test_pruning_leaves_one_and_nothing_else_that_is_not_its_own(tmp_path):
    kept = resume_point(tmp_path, 2)
    resume_point(tmp_path, 1)
    resume_point(tmp_path, 3, complete=False)
    (tmp_path / "checkpoint-mine").mkdir()
    prune_resume_points(tmp_path, keep=kept)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-mine"]


def network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(requires_grad=False)
    return model


def test_only_weights_that_learn_are_kept_and_come_back_exactly(tmp_path):
    model = network()
    before = model[1].weight.detach().clone()
    save_trainable(model, tmp_path / WEIGHTS)
    with torch.no_grad():
        model[0].weight.fill_(7)
        model[1].weight.fill_(7)
    load_trainable(model, tmp_path / WEIGHTS)
    assert torch.equal(model[1].weight, before)
    assert bool((model[0].weight == 7).all())


def test_weights_of_other_parts_are_refused(tmp_path):
    model = network()
    save_trainable(model, tmp_path / WEIGHTS)
    model[0].requires_grad_(requires_grad=True)
    with pytest.raises(StorageError, match="holds other weights than those that are trained now"):
        load_trainable(model, tmp_path / WEIGHTS)


def test_weights_cut_short_are_refused(tmp_path):
    save_trainable(network(), tmp_path / WEIGHTS)
    data = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(StorageError, match="Cannot read"):
        load_trainable(network(), tmp_path / WEIGHTS)
