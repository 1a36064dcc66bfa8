"""`veridical doctor --model` passes what works, and fails what is deliberately broken."""

import json
import shutil

import pytest
import torch

import model_zoo
from miniatures import picture
from veridical.cli import main
from veridical.errors import ModelError
from veridical.models import branches
from veridical.models.architectures.table import ARCHITECTURES
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.checks import subjects, use
from veridical.models.checks.model import CHECKS, check_model
from veridical.models.checks.window import window_of
from veridical.models.loading import load_model
from veridical.models.prompts import encoding
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses


@pytest.fixture(scope="module")
def paligemma(tmp_path_factory):
    return model_zoo.build("paligemma", tmp_path_factory.mktemp("paligemma") / "model")


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def failed(result):
    return {check.name for check in result.checks if check.passed is False}


def change_row(monkeypatch, family, **changes):
    monkeypatch.setitem(ARCHITECTURES, family, ARCHITECTURES[family]._replace(**changes))


def test_a_sound_model_passes_and_says_what_it_is(tiny_llava_path, capsys):
    assert run("doctor", "--model", str(tiny_llava_path), "--dtype", "float32") == 0
    text = capsys.readouterr().out
    for words in ("LlavaForConditionalGeneration", "torch.float32", "branches", "versions"):
        assert words in text
    assert text.count(" ok ") == len(CHECKS)


def test_what_a_model_cannot_do_is_named_and_is_not_a_fault(paligemma):
    result = check_model(str(paligemma))
    assert result.passed
    impossible = {check.name: check.detail for check in result.checks if check.passed is None}
    assert "`images` are expected" in impossible["no image"]
    assert "branches" not in impossible


def failed_by_doctor(model, capsys):
    """Names of the checks that fail; `doctor` must exit 1."""
    assert run("doctor", "--model", str(model)) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    return {name for name in CHECKS if any(line.strip().startswith(name) for line in lines)}


def test_a_prefix_mask_over_the_response_fails(paligemma, monkeypatch, capsys):
    """Type 0 after PaliGemma's prompt means that a token sees the future; once it passed."""
    change_row(monkeypatch, "paligemma", continuation={})
    assert "branches" in failed_by_doctor(paligemma, capsys)


def test_responses_that_count_as_an_image_fail(tmp_path, monkeypatch, capsys):
    """Type 1 after Gemma 3's prompt is a block of image tokens, which see each other."""
    change_row(monkeypatch, "gemma3", continuation={"token_type_ids": 1})
    model = model_zoo.build("gemma3", tmp_path / "model")
    assert "branches" in failed_by_doctor(model, capsys)


@pytest.mark.parametrize("family", ["paligemma", "gemma3"])
def test_a_prompt_whose_tokens_see_each_other_fails_where_its_row_says_causal(
    tmp_path, monkeypatch, capsys, family
):
    change_row(monkeypatch, family, attention="causal")
    model = model_zoo.build(family, tmp_path / "model")
    assert "branches" in failed_by_doctor(model, capsys)


@pytest.mark.parametrize("projector", [("no_such_module",), ("visual",)])
def test_a_projector_that_is_not_found_or_is_the_tower_fails(
    tiny_qwen2_5_vl_path, monkeypatch, capsys, projector
):
    change_row(monkeypatch, "qwen2_5_vl", projector=projector)
    assert failed_by_doctor(tiny_qwen2_5_vl_path, capsys) == {"parts"}


def test_a_wrong_number_of_placeholders_fails(tiny_llava_path, tmp_path, capsys):
    shutil.copytree(tiny_llava_path, tmp_path / "model")
    file = tmp_path / "model" / "processor_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"num_additional_image_tokens": 0}))
    assert {"two sizes in a batch", "sight"} <= failed_by_doctor(tmp_path / "model", capsys)
    details = " ".join(check.detail for check in check_model(str(tmp_path / "model")).checks)
    assert "15 image placeholders for 16 image features" in details


def test_positions_that_the_branches_do_not_carry_fail(tiny_llava_path, monkeypatch, capsys):
    """Left to the model, the second branch would stand behind the first."""
    lay_out = branches.lay_out_branches

    def without_positions(*arguments):
        layout = lay_out(*arguments)
        given = {k: v for k, v in layout.arguments.items() if k != "position_ids"}
        return layout._replace(arguments=given)

    monkeypatch.setattr(branches, "lay_out_branches", without_positions)
    assert "branches" in failed_by_doctor(tiny_llava_path, capsys)


def test_a_mask_of_the_other_padding_side_fails(tiny_llava_path, monkeypatch, capsys):
    stack = encoding.stack_prompts

    def mirrored(prompts, **options):
        stacked = stack(prompts, **options)
        return {**stacked, "attention_mask": stacked["attention_mask"].flip(-1)}

    monkeypatch.setattr(encoding, "stack_prompts", mirrored)
    assert {"two sizes in a batch"} <= failed_by_doctor(tiny_llava_path, capsys)


def test_branches_that_see_each_other_fail(tiny_llava_path, monkeypatch):
    def blind_to_branches(model, segments, **_options):
        size = segments.shape[1]
        return torch.ones(len(segments), 1, size, size, dtype=torch.bool).tril()

    monkeypatch.setattr("veridical.models.kernels.tree_masks.tree_mask", blind_to_branches)
    assert "branches" in failed(check_model(str(tiny_llava_path)))


def test_a_model_that_does_not_see_the_picture_fails(tiny_llava_path, monkeypatch):
    monkeypatch.setattr(
        subjects,
        "score_branches",
        lambda _model, batch, *, plain=False: torch.zeros(batch.response_mask.shape),
    )
    assert "sight" in failed(check_model(str(tiny_llava_path)))


def test_a_folder_without_model_is_one_clear_message(tmp_path, capsys):
    assert run("doctor", "--model", str(tmp_path)) == 1
    assert capsys.readouterr().err.startswith("Error: ")


def batch_for(vlm):
    prompt = encode_prompts(vlm, ["What is it?"] * 2, [picture(0), picture(1, size=(30, 90))])
    ids = [response.ids for response in encode_responses(vlm, ["A red car.", "Two dogs."])]
    return BranchBatch(prompt, *stack_responses([ids, ids]))


def test_the_first_trained_batch_is_checked_once(own_llava, monkeypatch):
    calls = []
    plain = branches.lay_out_plain
    monkeypatch.setattr(branches, "lay_out_plain", lambda *a: calls.append(0) or plain(*a))
    batch = batch_for(own_llava)
    with torch.no_grad():
        score_branches(own_llava.model, batch)
    assert not calls
    for _ in range(2):
        score_branches(own_llava.model, batch).sum().backward()
    assert len(calls) == 1


def test_a_first_batch_that_sees_the_future_stops_the_training(paligemma, monkeypatch):
    vlm = load_model(paligemma, device="cpu")
    change_row(monkeypatch, "paligemma", continuation={})
    with pytest.raises(ModelError, match="branches and copies of the prompt"):
        score_branches(vlm.model, batch_for(vlm))
    monkeypatch.delitem(ARCHITECTURES, "paligemma")
    vlm = load_model(paligemma, device="cpu")
    with pytest.raises(ModelError, match="last token changes earlier scores"):
        score_branches(vlm.model, batch_for(vlm))


def test_a_model_whose_scores_depend_on_the_place_in_the_batch_stops_the_training(
    own_llava, monkeypatch
):
    """HunYuan-VL in transformers 5.23: the second row's image counts as the second image."""
    monkeypatch.delitem(ARCHITECTURES, "llava")
    own_llava.model.model.language_model.embed_tokens.register_forward_hook(
        lambda _module, _inputs, output: output + torch.arange(len(output)).reshape(-1, 1, 1)
    )
    with pytest.raises(ModelError, match="its place in the batch changes a response's scores"):
        score_branches(own_llava.model, batch_for(own_llava))


def test_a_family_that_is_not_listed_takes_the_plain_path(tiny_llava_path, monkeypatch):
    monkeypatch.delitem(ARCHITECTURES, "llava")
    result = check_model(str(tiny_llava_path))
    assert result.passed
    assert "not listed" in dict(result.facts)["architecture"]


def test_image_tokens_are_counted_for_a_processor_that_wants_a_picture(paligemma):
    assert window_of(str(paligemma)).image_tokens == 16


def test_states_other_than_those_of_the_scores_fail(tiny_llava_path, monkeypatch, capsys):
    def one_late(model, batch, *, at):
        return branches.branch_hidden_states(model, batch, at="token")

    monkeypatch.setattr(use, "branch_hidden_states", one_late)
    assert failed_by_doctor(tiny_llava_path, capsys) == {"hidden states"}
