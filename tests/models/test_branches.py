from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from miniatures import picture
from veridical.errors import ModelError
from veridical.models import token_scores
from veridical.models.architectures import positions
from veridical.models.architectures.images import encode_images
from veridical.models.branch_layout import lay_out_plain
from veridical.models.branches import (
    BranchBatch,
    branch_hidden_states,
    evaluate_branches,
    no_branches_reason,
    score_branches,
    stack_responses,
)
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.lora import LoraRecipe, add_lora
from veridical.models.path_choice import costs, paths_taken
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses
from veridical.models.token_scores import Sampling

QUESTIONS = [
    "What is in the picture?",
    "Is there a knife?",
    "Describe the image in detail, the left and the right.",
]
RESPONSES = [
    "There is a red car.",
    "No, there is no knife in the image.",
    "Two dogs.",
    "A man rides a blue bicycle.",
]


def make_batch(vlm, *, prompts=2, branches=2, side="left"):
    """Prompts and responses of different lengths; the last prompt may have an empty branch."""
    sizes = [(64, 48), (40, 64), (48, 48)]
    images = [picture(seed, size=sizes[seed]) for seed in range(prompts)]
    vlm.tokenizer.padding_side = side
    prompt = encode_prompts(vlm, QUESTIONS[:prompts], images)
    vlm.tokenizer.padding_side = "left"
    encoded = [r.ids for r in encode_responses(vlm, RESPONSES)]
    rows = [[encoded[(b + k) % len(encoded)] for k in range(branches)] for b in range(prompts)]
    if branches > 1:
        rows[-1][0] = []
    return BranchBatch(prompt, *stack_responses(rows))


def score_alone(vlm, batch):
    """The definition: every response in its own unpadded forward, log-softmax over all logits."""
    scores = torch.zeros(batch.response_ids.shape)
    rows = batch.prompt["input_ids"].shape
    patches = (
        batch.prompt["image_grid_thw"].prod(-1).tolist()
        if "image_grid_thw" in batch.prompt
        else None
    )
    for b, k in torch.cartesian_prod(
        torch.arange(rows[0]), torch.arange(batch.response_ids.shape[1])
    ).tolist():
        keep = batch.prompt["attention_mask"][b].bool()
        response = batch.response_ids[b, k][batch.response_mask[b, k]]
        arguments = {}
        for key, value in batch.prompt.items():
            if value.shape == rows:
                more = (
                    response
                    if key == "input_ids"
                    else torch.full_like(response, int(key == "attention_mask"))
                )
                arguments[key] = torch.cat([value[b][keep], more])[None]
            elif key == "pixel_values" and patches is not None:
                arguments[key] = value.split(patches)[b]
            else:
                arguments[key] = value[b : b + 1]
        if len(response):
            logits = vlm.model(**arguments).logits[0].log_softmax(-1)
            scores[b, k, : len(response)] = (
                logits[-len(response) - 1 : -1].gather(1, response[:, None]).squeeze(1)
            )
    return scores


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("prompts", "count"), [(1, 1), (2, 2), (3, 1), (3, 4)])
@torch.no_grad()
def test_branches_give_what_separate_forwards_give(vlm, prompts, count, side, plain):
    batch = make_batch(vlm, prompts=prompts, branches=count, side=side)
    scores = score_branches(vlm.model, batch, plain=plain)
    assert scores.shape == batch.response_ids.shape
    assert not scores[~batch.response_mask].any()
    torch.testing.assert_close(scores, score_alone(vlm, batch), rtol=0, atol=1e-5)


@torch.no_grad()
def test_eager_attention_gives_the_same(vlm, tiny_llava_path, tiny_qwen2_5_vl_path):
    path = tiny_llava_path if vlm.model.config.model_type == "llava" else tiny_qwen2_5_vl_path
    eager = load_model(path, device="cpu")
    eager.model.set_attn_implementation("eager")
    assert no_branches_reason(eager.model) is None
    batch = make_batch(vlm, prompts=3, branches=3)
    torch.testing.assert_close(
        score_branches(eager.model, batch), score_branches(vlm.model, batch), rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_a_branch_does_not_see_its_siblings(vlm):
    batch = make_batch(vlm, prompts=1, branches=3)
    other = batch.response_ids.clone()
    other[0, 1:] = (other[0, 1:] + 7) % 200
    changed = BranchBatch(batch.prompt, other, batch.response_mask)
    first, second = (score_branches(vlm.model, b) for b in (batch, changed))
    torch.testing.assert_close(first[0, 0], second[0, 0], rtol=0, atol=1e-6)
    assert not torch.allclose(first[0, 1], second[0, 1], atol=1e-2)


@torch.no_grad()
def test_order_of_branches_and_prompts_changes_nothing(llava):
    batch = make_batch(llava, prompts=3, branches=3)
    scores = score_branches(llava.model, batch)
    turn, swap = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])
    turned = BranchBatch(
        {key: value[turn] for key, value in batch.prompt.items()},
        batch.response_ids[turn][:, swap],
        batch.response_mask[turn][:, swap],
    )
    torch.testing.assert_close(
        score_branches(llava.model, turned), scores[turn][:, swap], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("with_lora", [False, True])
def test_gradients_are_those_of_separate_scoring(
    tiny_llava_path, tiny_qwen2_5_vl_path, vlm, with_lora
):
    path = tiny_llava_path if vlm.model.config.model_type == "llava" else tiny_qwen2_5_vl_path
    own = load_model(path, device="cpu")
    if with_lora:
        own = add_lora(own, LoraRecipe(rank=4))
        torch.manual_seed(0)
        for name, parameter in own.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    batch = make_batch(own, prompts=2, branches=3)
    weights = torch.linspace(-1, 1, batch.response_ids.numel()).reshape(batch.response_ids.shape)
    gradients = []
    for scorer in (score_branches, lambda _, batch: score_alone(own, batch)):
        own.model.zero_grad()
        (scorer(own.model, batch) * weights).sum().backward()
        gradients.append(
            {n: p.grad.clone() for n, p in own.model.named_parameters() if p.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    assert with_lora == all("lora_" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        scale = float(gradients[1][name].abs().max())
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=1e-4 * scale + 1e-6)


def test_gradient_checkpointing_gives_the_same(own_llava):
    batch = make_batch(own_llava, prompts=2, branches=2)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            own_llava.model.gradient_checkpointing_enable({"use_reentrant": False})
        own_llava.model.train()
        own_llava.model.zero_grad()
        score_branches(own_llava.model, batch).sum().backward()
        gradients.append(own_llava.model.lm_head.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_chunks_of_logits_change_nothing(own_llava, monkeypatch):
    batch = make_batch(own_llava, prompts=2, branches=3)
    found = []
    for at_once in (2**26, 480 * 3):
        monkeypatch.setattr(token_scores, "_LOGITS_AT_ONCE", at_once)
        own_llava.model.zero_grad()
        scores = score_branches(own_llava.model, batch)
        scores.sum().backward()
        found.append((scores.detach(), own_llava.model.lm_head.weight.grad.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_vocabulary_logits_are_made_for_response_tokens_only(llava):
    batch = make_batch(llava, prompts=2, branches=2)
    seen = []
    handle = llava.model.lm_head.register_forward_hook(
        lambda _m, _i, out: seen.append(out.shape[0])
    )
    score_branches(llava.model, batch)
    handle.remove()
    assert seen == [int(batch.response_mask.sum())]


@pytest.mark.parametrize("plain", [False, True])
@torch.no_grad()
def test_images_encoded_before_give_the_same(vlm, plain):
    batch = make_batch(vlm, prompts=3, branches=2)
    outputs = encode_images(vlm.model, batch.prompt)
    again = score_branches(vlm.model, batch, image_outputs=outputs, plain=plain)
    torch.testing.assert_close(again, score_branches(vlm.model, batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("at", ["token", "before"])
@torch.no_grad()
def test_hidden_states_are_those_of_the_plain_path(vlm, at):
    batch = make_batch(vlm, prompts=3, branches=3)
    states, plain = (branch_hidden_states(vlm.model, batch, at=at, plain=p) for p in (False, True))
    assert states.shape == (*batch.response_ids.shape, 32)
    assert not states[~batch.response_mask].any()
    torch.testing.assert_close(states, plain, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_state_before_a_token_predicts_it(llava):
    batch = make_batch(llava, prompts=2, branches=3)
    states = branch_hidden_states(llava.model, batch, at="before")
    logprobs = llava.model.lm_head(states).log_softmax(-1)
    scores = logprobs.gather(-1, batch.response_ids[..., None]).squeeze(-1)
    expected = torch.where(batch.response_mask, scores, 0)
    torch.testing.assert_close(score_branches(llava.model, batch), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_no_response_at_all_scores_nothing(llava):
    batch = make_batch(llava, prompts=2, branches=2)
    silent = BranchBatch(batch.prompt, batch.response_ids, torch.zeros_like(batch.response_mask))
    for plain in (False, True):
        assert not score_branches(llava.model, silent, plain=plain).any()


def test_what_does_not_allow_branches_says_why_and_still_scores(tiny_llava_path, llava, capsys):
    sliding = load_model(tiny_llava_path, device="cpu")
    sliding.model.config.text_config.layer_types = [
        "full_attention",
        "sliding_attention",
        "full_attention",
    ]
    assert "sliding_attention" in no_branches_reason(sliding.model)
    batch = make_batch(llava, prompts=2, branches=2)
    with torch.no_grad():
        scores = [score_branches(sliding.model, batch) for _ in range(2)][1]
        torch.testing.assert_close(scores, score_branches(llava.model, batch), rtol=0, atol=1e-5)
    assert capsys.readouterr().err.count("layers of sliding_attention") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: setattr(c.text_config, "_attn_implementation", "flash_attention_2"),
            "flash_attention_2",
        ),
        (lambda c: setattr(c.text_config, "model_type", "opt"), "`opt` has not been checked"),
        (lambda c: setattr(c, "model_type", "qwen3_5"), "linear attention carries a state"),
        (lambda c: setattr(c.text_config, "rope_parameters", {"rope_type": "dynamic"}), "dynamic"),
    ],
)
def test_every_obstacle_has_its_reason(own_llava, change, reason):
    change(own_llava.model.config)
    assert reason in no_branches_reason(own_llava.model)


@torch.no_grad()
def test_an_unchecked_architecture_makes_its_own_logits(llava, tiny_llava_path):
    """Granite and Gemma scale or cap logits behind the vocabulary head; the scores must follow."""

    class Capped(LlavaForConditionalGeneration):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = 2 * torch.tanh(output.logits / 2)
            return output

    capped = Capped.from_pretrained(tiny_llava_path).eval()
    capped.config.model_type = "capped"
    batch = make_batch(llava, prompts=2, branches=2)
    scores = score_branches(capped, batch)
    expected = score_alone(VisionLanguageModel(capped, llava.processor, "capped"), batch)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-5)


def long_prompts(vlm, *, tokens=300, side="left"):
    """Two prompts of random text, long enough to attend in two calls, the second one shorter."""
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(100, 300, (2, tokens), generator=random)
    mask = torch.ones_like(ids)
    mask[1, slice(0, 20) if side == "left" else slice(-20, None)] = 0
    responses = [r.ids for r in encode_responses(vlm, RESPONSES)]
    ragged = stack_responses([responses, [responses[2], [], responses[1], responses[0]]])
    prompt = {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": torch.zeros_like(ids)}
    if vlm.model.config.model_type == "llava":
        del prompt["mm_token_type_ids"]
    return BranchBatch(prompt, *ragged)


@pytest.mark.parametrize("side", ["left", "right"])
def test_attention_in_two_calls_gives_what_one_forward_each_gives(vlm, side):
    """No call has a mask of all tokens; scores and gradients are those of separate forwards."""
    batch, shapes = long_prompts(vlm, side=side), set()
    inner = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, **options):
        if options.get("attn_mask") is not None:
            shapes.add(tuple(options["attn_mask"].shape[-2:]))
        return inner(query, key, value, **options)

    embeddings = vlm.model.get_input_embeddings().weight
    found = []
    for score in (
        lambda: score_branches(vlm.model, batch),
        lambda: score_alone(vlm, batch),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
            score()  # the first trained batch is checked apart
            shapes.clear()
            scores = score()
            weights = torch.linspace(-1, 1, scores.numel()).reshape(scores.shape)
            (gradient,) = torch.autograd.grad((scores * weights).sum(), embeddings)
        found.append((scores.detach(), gradient, shapes.copy()))
    (branched, gradient, masks), (alone, expected, _) = found
    torch.testing.assert_close(branched, alone, rtol=0, atol=1e-5)
    scale = float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-4 * scale + 1e-6)
    width = int(batch.response_mask.sum((1, 2)).max())
    assert masks == {(width, 300 + width)}


def test_copies_after_a_causal_prompt_make_no_mask_of_all_pairs(llava, monkeypatch):
    """At 5,000 image tokens such a mask takes 100 MB a row."""
    batch = make_batch(llava)
    arguments = (llava.model, batch.prompt, batch.response_ids, batch.response_mask, {})
    assert "attention_mask" not in lay_out_plain(*arguments).arguments
    monkeypatch.setattr(llava.model.config, "model_type", "unheard_of")
    assert "attention_mask" in lay_out_plain(*arguments).arguments


def test_the_way_that_computes_less_is_taken_and_said(llava, capsys, monkeypatch):
    """Eight long responses to a short prompt compare too many tokens with each other."""
    monkeypatch.setattr(positions, "_logged", set())
    random = torch.Generator().manual_seed(0)

    def batch_of(length, count, tokens):
        ids = torch.randint(100, 300, (1, length), generator=random)
        responses = torch.randint(100, 300, (1, count, tokens), generator=random)
        prompt = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return BranchBatch(prompt, responses, torch.ones_like(responses, dtype=torch.bool))

    with torch.no_grad():
        before = paths_taken(llava.model)
        short = batch_of(10, 8, 60)
        scores = score_branches(llava.model, short)
        score_branches(llava.model, batch_of(300, 2, 20))
    taken = {name: count - before.get(name, 0) for name, count in paths_taken(llava.model).items()}
    assert {name: count for name, count in taken.items() if count} == {
        "branches": 1,
        "copies of the prompt": 1,
    }
    assert "it computes less" in capsys.readouterr().err
    torch.testing.assert_close(scores, score_alone(llava, short), rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("tokens", [64, 600, 1600])
def test_branches_are_taken_on_the_layers_of_a_7b_model(llava, tokens, count):
    config = deepcopy(llava.model.config)
    vars(config.text_config).update(
        hidden_size=4096,
        intermediate_size=11008,
        num_attention_heads=32,
        num_key_value_heads=32,
        head_dim=128,
    )
    responses = torch.ones(2, count, 100, dtype=torch.bool)
    found = costs(SimpleNamespace(config=config), torch.ones(2, tokens + 30), responses)
    assert found.branches < found.copies


def test_malformed_batches_are_refused(llava):
    batch = make_batch(llava, prompts=2, branches=2)
    hole = batch.response_mask.clone()
    hole[0, 0, 0] = False
    with pytest.raises(ModelError, match="without holes"):
        BranchBatch(batch.prompt, batch.response_ids, hole)
    with pytest.raises(ModelError, match="must both be"):
        BranchBatch(batch.prompt, batch.response_ids, hole[0])
    with pytest.raises(ModelError, match="2 prompts and responses to 1"):
        BranchBatch(batch.prompt, batch.response_ids[:1], batch.response_mask[:1])


def test_ragged_responses_are_stacked():
    ids, mask = stack_responses([[[5, 6, 7], [8]], [[9]]])
    assert ids.tolist() == [[[5, 6, 7], [8, 0, 0]], [[9, 0, 0], [0, 0, 0]]]
    assert mask.sum(-1).tolist() == [[3, 1], [1, 0]]


@pytest.mark.parametrize("plain", [False, True])
@torch.no_grad()
def test_one_forward_gives_scores_entropies_and_states(vlm, plain):
    batch = make_batch(vlm, prompts=3, branches=2)
    read = evaluate_branches(vlm.model, batch, plain=plain)
    torch.testing.assert_close(read.logprobs, score_branches(vlm.model, batch), rtol=0, atol=1e-5)
    states = branch_hidden_states(vlm.model, batch, at="before")
    torch.testing.assert_close(read.states, states, rtol=0, atol=1e-5)
    distribution = vlm.model.lm_head(states).log_softmax(-1)
    entropies = -(distribution.exp() * distribution).sum(-1).masked_fill(~batch.response_mask, 0)
    torch.testing.assert_close(read.entropies, entropies, rtol=0, atol=1e-4)


@torch.no_grad()
def test_scores_of_the_distribution_that_was_drawn_from(vlm):
    """Probabilities over all allowed tokens sum to one, at any temperature."""
    forbidden = vlm.placeholder_token_ids
    batch = make_batch(vlm, prompts=1, branches=1)
    state = branch_hidden_states(vlm.model, batch, at="before")[0, 0, 0]
    logits = vlm.model.lm_head(state) / 0.7
    logits[list(forbidden)] = -torch.inf
    first = batch.response_ids[0, 0, 0]
    read = evaluate_branches(vlm.model, batch, sampling=Sampling(0.7, forbidden))
    assert read.logprobs[0, 0, 0].item() == pytest.approx(
        logits.log_softmax(-1)[first].item(), abs=1e-5
    )
    probabilities = logits.softmax(-1)
    assert read.entropies[0, 0, 0].item() == pytest.approx(
        torch.special.entr(probabilities).sum().item(), abs=1e-4
    )
