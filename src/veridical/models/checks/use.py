"""Checks of how a model is read and generated from."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.architectures.parts import (
    language_parameters,
    projector_parameters,
    vision_tower,
)
from veridical.models.architectures.table import architecture_of
from veridical.models.branches import (
    BranchBatch,
    branch_hidden_states,
    evaluate_branches,
    no_branches_reason,
    score_branches,
    stack_responses,
)
from veridical.models.checks.first_batch import tolerance
from veridical.models.checks.subjects import (
    PICTURES,
    QUESTIONS,
    RESPONSES,
    SIZES,
    Found,
    agree,
    response_ids,
    score_all,
)
from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.processors import first_line
from veridical.models.prompts.encoding import Images, encode_prompts
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.responses import decode_responses, encode_responses, tokenize

FAULTS = (ModelError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError)
"""What a check that cannot be carried out may raise."""


def template(vlm: VisionLanguageModel) -> Found:
    """The response's tokens are those of the rendered conversation."""
    question, text = QUESTIONS[0], RESPONSES[0]
    asked, answered = (
        tokenize(vlm, [rendered])[0][0]
        for rendered in (
            render_turns(vlm, [question]),
            render_turns(vlm, [question, text], generate=False),
        )
    )
    (response,) = encode_responses(vlm, [text])
    expected = asked + response.ids[:-1]
    if decode_responses(vlm, [response.ids]) != [text]:
        return Found(False, "a response's tokens do not decode to its text")
    same = answered[: len(expected)] == expected
    return Found(
        same,
        "prompt and response are the rendered conversation, token for token"
        if same
        else "prompt and response tokens are not those of the conversation",
    )


def parts(vlm: VisionLanguageModel) -> Found:
    """Vision tower, projector and language model are identified."""
    tower = {id(parameter) for parameter in vision_tower(vlm.model).parameters()}
    projector, spoken = projector_parameters(vlm.model), language_parameters(vlm.model)
    if not projector:
        detail = "no weights found that turn image features into the decoder's width"
        expected = architecture_of(unwrap(vlm.model).config).projector
        return Found(False if expected else None, detail)
    if not tower - projector or projector & spoken:
        return Found(False, "the projector's modules take in the vision tower or the decoder")
    return Found(True, "vision tower, projector and language model are identified")


def sizes(vlm: VisionLanguageModel) -> Found:
    """Prompts with pictures of two sizes score in one batch as each alone."""
    ids = response_ids(vlm)
    alone = [score_all(vlm, [q], [p], ids) for q, p in zip(QUESTIONS, PICTURES, strict=True)]
    return agree(vlm, score_all(vlm, QUESTIONS, PICTURES, ids), torch.cat(alone))


def padding(vlm: VisionLanguageModel) -> Found:
    """The side of the padding changes nothing."""
    ids, side = response_ids(vlm), vlm.tokenizer.padding_side
    scores = []
    try:
        for vlm.tokenizer.padding_side in ("left", "right"):
            scores.append(score_all(vlm, QUESTIONS, PICTURES, ids, plain=False))
    finally:
        vlm.tokenizer.padding_side = side
    return agree(vlm, *scores)


def sight(vlm: VisionLanguageModel) -> Found:
    """Another picture changes the scores."""
    ids = response_ids(vlm)
    blank = Image.new("RGB", SIZES[0], "blue")
    seen, other = (score_all(vlm, QUESTIONS[:1], [p], ids) for p in (PICTURES[0], blank))
    gap = float((seen - other).abs().max())
    detail = f"another picture changes a token's log-probability by up to {gap:.2g} nats"
    return Found(gap > 0, detail if gap else "another picture changes nothing")


def causality(vlm: VisionLanguageModel) -> Found:
    """A later token never changes an earlier score."""
    first = response_ids(vlm)[0]
    changed = [*first[:-1], response_ids(vlm)[1][-2]]
    scores = score_all(vlm, QUESTIONS[:1], PICTURES[:1], [first, changed], plain=False)
    return agree(vlm, scores[0, 0, : len(first) - 1], scores[0, 1, : len(first) - 1])


def branches(vlm: VisionLanguageModel) -> Found:
    """Branches give what copies of the prompt give."""
    reason = no_branches_reason(vlm.model)
    if reason is not None:
        return Found(None, f"each response has its own copy of the prompt: {reason}")
    ids = response_ids(vlm)
    branched, plain = (
        score_all(vlm, QUESTIONS, PICTURES, ids, plain=plain) for plain in (False, True)
    )
    return agree(vlm, branched, plain)


@torch.no_grad()
def _generated(vlm: VisionLanguageModel) -> tuple[list[int], Tensor]:
    """Greedy tokens of plain `generate` for the first prompt, with their log-probabilities."""
    prompt = encode_prompts(vlm, QUESTIONS[:1], PICTURES[:1])
    output = vlm.model.generate(
        **{key: value.to(vlm.device) for key, value in prompt.items()},
        do_sample=False,
        num_beams=1,
        max_new_tokens=12,
        suppress_tokens=list(vlm.placeholder_token_ids),
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens = output.sequences[0, prompt["input_ids"].shape[1] :].tolist()
    logits = torch.cat(output.logits)[: len(tokens)].float().log_softmax(-1).cpu()
    return tokens, logits.gather(1, torch.tensor(tokens).unsqueeze(1)).squeeze(1)


@torch.no_grad()
def hidden_states(vlm: VisionLanguageModel) -> Found:
    """Reward and value heads read the states that the scores come from."""
    prompt = encode_prompts(vlm, QUESTIONS[:1], PICTURES[:1])
    batch = BranchBatch(prompt, *stack_responses([response_ids(vlm)])).to(vlm.device)
    read = branch_hidden_states(vlm.model, batch, at="before").float()
    scored = evaluate_branches(vlm.model, batch).states.float()
    gap = float((read - scored).abs().max() / scored.abs().max())
    return Found(gap <= tolerance(vlm.model), f"at most {gap:.2g} of the largest apart")


def scores_of_generate(vlm: VisionLanguageModel) -> Found:
    """Scores are what `generate` computed when it chose the tokens."""
    tokens, expected = _generated(vlm)
    found = score_all(vlm, QUESTIONS[:1], PICTURES[:1], [tokens], plain=False)[0, 0]
    return agree(vlm, found, expected)


def greedy(vlm: VisionLanguageModel) -> Found:
    """Greedy responses are those of `generate`."""
    expected, _ = _generated(vlm)
    ((answer,), _) = generate_responses(vlm, QUESTIONS, PICTURES, max_new_tokens=12)
    same = answer.token_ids == expected
    if not same and vlm.dtype != torch.float32:
        return Found(None, f"tokens differ, as rounding in {vlm.dtype} can make them")
    return Found(same, "the same tokens" if same else "other tokens than transformers' generate")


def earlier_turns(vlm: VisionLanguageModel) -> Found:
    """Another earlier turn changes the scores of the answer to the question."""
    earlier = [[(QUESTIONS[0], text)] for text in RESPONSES]
    one, two = (_scored(vlm, histories=[history]) for history in earlier)
    gap = float((one - two).abs().max())
    return Found(gap > 0, f"another earlier answer changes a score by up to {gap:.2g} nats")


def system_message(vlm: VisionLanguageModel) -> Found:
    """A system message is read, if the template has a place for it."""
    try:
        plain, said = _scored(vlm), _scored(vlm, systems=["Say only what is in the picture."])
    except ModelError as error:
        return Found(None, f"not possible: {first_line(error)}")
    if plain.shape == said.shape and torch.equal(plain, said):
        return Found(False, "a system message changes nothing")
    return Found(True, "a system message is read")


@torch.no_grad()
def _scored(vlm: VisionLanguageModel, **asked: Any) -> Tensor:
    """Scores of the first response to the second question about the first picture."""
    prompt = encode_prompts(vlm, QUESTIONS[1:], PICTURES[:1], **asked)
    batch = BranchBatch(prompt, *stack_responses([response_ids(vlm)[:1]]))
    return score_branches(vlm.model, batch.to(vlm.device), plain=True).cpu()


def ability(pictures: Images, what: str) -> Callable[[VisionLanguageModel], Found]:
    """Make a check that prompts about such pictures can be scored."""

    def check(vlm: VisionLanguageModel) -> Found:
        try:
            score_all(vlm, QUESTIONS[:1], [pictures], response_ids(vlm)[:1])
        except FAULTS as error:
            return Found(None, f"not possible: {first_line(error)}")
        return Found(True, f"{what} can be scored")

    return check
