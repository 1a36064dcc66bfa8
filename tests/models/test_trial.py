import pytest
import torch

from veridical.cli import main
from veridical.errors import ModelError
from veridical.models import trial


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def test_a_sound_model_passes_and_says_what_it_is(tiny_llava_path, capsys):
    assert run("doctor", "--model", str(tiny_llava_path)) == 0
    text = capsys.readouterr().out
    for words in (
        "LlavaForConditionalGeneration",
        "torch.float32",
        "agree with plain scoring",
        "versions",
        "folders",
    ):
        assert words in text


def test_a_model_whose_branches_see_each_other_fails(tiny_llava_path, capsys, monkeypatch):
    right = trial.score_branches

    def wrong(model, batch, *, plain):
        return right(model, batch, plain=plain) + (0 if plain else 0.01)

    monkeypatch.setattr(trial, "score_branches", wrong)
    assert run("doctor", "--model", str(tiny_llava_path)) == 1
    assert "DISAGREE" in capsys.readouterr().out


def test_a_model_that_does_not_see_the_picture_fails(tiny_llava_path, monkeypatch):
    monkeypatch.setattr(
        trial,
        "score_branches",
        lambda _model, batch, *, plain: torch.zeros(batch.response_mask.shape),
    )
    result = trial.try_model(str(tiny_llava_path))
    assert not result.passed
    assert ("picture", "CHANGES NOTHING") in result.lines


def test_a_folder_without_model_is_one_clear_message(tmp_path, capsys):
    with pytest.raises(ModelError):
        trial.try_model(str(tmp_path))
    assert run("doctor", "--model", str(tmp_path)) == 1
    assert capsys.readouterr().err.startswith("Error: ")
