"""Conversations of several turns: positions, what is learnt, and equality with the template."""

import pytest
import torch

from conversation_files import TALKS
from miniatures import picture
from veridical.errors import ModelError
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.loading import load_model
from veridical.models.prompts.conversations import encode_conversation
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.responses import encode_responses


@pytest.fixture(scope="module", params=["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def vlm(request):
    return load_model(request.getfixturevalue(request.param), device="cpu")


def pieces(encoded):
    """Runs of learnt and not learnt tokens."""
    runs = []
    for token, learnt in zip(encoded.ids, encoded.learned, strict=True):
        if not runs or runs[-1][0] != learnt:
            runs.append((learnt, []))
        runs[-1][1].append(token)
    return runs


@pytest.mark.parametrize("texts", TALKS)
def test_answers_and_their_ends_are_learnt_and_nothing_else(vlm, texts):
    runs = pieces(encode_conversation(vlm, texts))
    answers = encode_responses(vlm, texts[1::2])
    assert [ids for learnt, ids in runs if learnt] == [answer.ids for answer in answers]
    between = [ids for learnt, ids in runs if not learnt]
    assert len(between) == len(answers) - 1
    for question, ids in zip(texts[2::2], between, strict=True):
        assert question in vlm.tokenizer.decode(ids)


def test_one_turn_is_a_plain_response(vlm):
    encoded = encode_conversation(vlm, TALKS[0])
    assert encoded.ids == encode_responses(vlm, TALKS[0][1:])[0].ids
    assert all(encoded.learned)
    assert not encoded.truncated


@pytest.mark.parametrize("texts", TALKS)
def test_the_whole_is_what_the_template_renders(vlm, texts):
    """Token for token for ChatML; LLaVA-1.5's template omits the ends of answers: we add them."""
    (image,) = [picture(1)]
    prompt = encode_prompts(vlm, [texts[0]], [image])
    ids = prompt["input_ids"][0].tolist() + encode_conversation(vlm, texts).ids
    rendered = render_turns(vlm, texts, generate=False)
    text = vlm.tokenizer.decode(ids)
    for placeholder in vlm.tokenizer.convert_ids_to_tokens(list(vlm.placeholder_token_ids)):
        text, rendered = text.replace(placeholder, ""), rendered.replace(placeholder, "")
    if vlm.model.config.model_type == "llava":
        text = text.replace("<s>", "").replace("</s>", "")
    assert text.split() == rendered.split()


def test_a_long_conversation_is_cut_behind_an_answers_token(vlm):
    whole = encode_conversation(vlm, TALKS[3])
    for limit in range(1, len(whole.ids) + 1):
        cut = encode_conversation(vlm, TALKS[3], max_tokens=limit)
        assert cut.truncated == (limit < len(whole.ids))
        assert cut.ids == whole.ids[: len(cut.ids)]
        assert 0 < len(cut.ids) <= limit
        assert cut.learned[-1]
        assert cut.learned == whole.learned[: len(cut.ids)]


def test_placeholders_and_end_tokens_as_text_are_refused(vlm):
    placeholder = vlm.tokenizer.convert_ids_to_tokens(vlm.placeholder_token_ids[0])
    for place in range(4):
        texts = list(TALKS[1])
        texts[place] += 2 * placeholder  # one alone may be the marker of the one image
        with pytest.raises(
            ModelError, match=r"stands for image features|2 <image> markers|Only user"
        ):
            encode_conversation(vlm, texts)
    texts = [*TALKS[1][:3], f"Three {vlm.tokenizer.eos_token} cups."]
    with pytest.raises(ModelError, match="end token"):
        encode_conversation(vlm, texts)


def test_a_template_that_drops_answers_is_refused(vlm, monkeypatch):
    monkeypatch.setattr(vlm.processor, "chat_template", "{{ messages[-1]['content'][-1]['text'] }}")
    with pytest.raises(ModelError, match="chat template"):
        encode_conversation(vlm, TALKS[1])


def test_a_question_about_no_image_is_the_same_prompt_without_one(vlm):
    prompt = encode_prompts(vlm, ["What?"], [None])
    assert "pixel_values" not in prompt
    assert not torch.isin(prompt["input_ids"], torch.tensor(vlm.placeholder_token_ids)).any()
    ids, mask = stack_responses([[encode_conversation(vlm, ("What?", "A cat.")).ids]])
    scores = score_branches(vlm.model, BranchBatch(prompt, ids, mask))
    whole = torch.cat([prompt["input_ids"], ids[:, 0]], dim=-1)
    logits = vlm.model(input_ids=whole).logits.log_softmax(-1)[
        0, prompt["input_ids"].shape[1] - 1 : -1
    ]
    torch.testing.assert_close(
        scores[0, 0], logits.gather(-1, ids[0, 0].unsqueeze(-1)).squeeze(-1), atol=1e-5, rtol=0
    )
