import math

import pytest
import torch

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.decoding.choice import TokenChoice, choose
from veridical.models.decoding.decoder import Decoder
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_responses, generate_tokens
from veridical.models.prompts.encoding import encode_prompts

QUESTIONS = [
    "What is in the picture?",
    "Is there a knife?",
    "Describe the image in detail.",
    "A cat?",
    "Hm?",
]
SAMPLED = {"num_samples": 3, "temperature": 1.0, "top_p": 0.9, "seed": 3}


@pytest.fixture
def images():
    return [
        picture(seed, size=(64, 48) if seed % 2 else (40, 64)) for seed in range(len(QUESTIONS))
    ]


@pytest.fixture
def eager_to_end(request, monkeypatch):
    """Make a miniature likely to end early, each row at another step, so that rows drop out."""

    def prepare(vlm):
        head = vlm.model.lm_head.weight
        before = head.detach().clone()
        request.addfinalizer(lambda: head.data.copy_(before))
        with torch.no_grad():
            head[vlm.end_token_ids[0]] *= 3
        return vlm

    return prepare


def by_hand(vlm, question, image, steps):
    """Greedy decoding as it is defined: the whole sequence anew for every token, no cache."""
    prompt = (
        encode_prompts(vlm, [question], [None])
        if image is None
        else encode_prompts(vlm, [question], [image])
    )
    said = []
    for _ in range(steps):
        rest = torch.tensor([said], dtype=torch.long)
        arguments = dict(prompt)
        for key, value in prompt.items():
            if value.shape == prompt["input_ids"].shape:
                more = (
                    rest
                    if key == "input_ids"
                    else torch.full_like(rest, int(key == "attention_mask"))
                )
                arguments[key] = torch.cat([value, more.to(value.dtype)], dim=-1)
        with torch.no_grad():
            logits = vlm.model(**arguments).logits[0, -1]
        logits[list(vlm.placeholder_token_ids)] = -torch.inf
        said.append(int(logits.argmax()))
        if said[-1] in vlm.end_token_ids:
            break
    return said


@pytest.mark.parametrize("general", [False, True])
def test_questions_without_an_image_are_answered_in_their_place(vlm, images, general):
    some = [images[0], None, images[2], images[3], None]
    said = generate_responses(vlm, QUESTIONS, some, max_new_tokens=5, batch_size=2, general=general)
    ids = [one[0].token_ids for one in said]
    assert ids == [by_hand(vlm, *row, 5) for row in zip(QUESTIONS, some, strict=True)]
    with_all = generate_responses(
        vlm, QUESTIONS, images, max_new_tokens=5, batch_size=2, general=general
    )
    assert [said[n] for n in (0, 2, 3)] == [with_all[n] for n in (0, 2, 3)]


@pytest.mark.parametrize("general", [False, True])
def test_greedy_is_the_likeliest_token_every_time(vlm, images, eager_to_end, general):
    vlm = eager_to_end(vlm)
    found = generate_responses(vlm, QUESTIONS, images, max_new_tokens=10, general=general)
    expected = [by_hand(vlm, q, i, 10) for q, i in zip(QUESTIONS, images, strict=True)]
    assert [rows[0].token_ids for rows in found] == expected
    assert {len(ids) for ids in expected} != {10}


@pytest.mark.parametrize("settings", [{}, SAMPLED])
def test_lean_and_general_decoding_agree_for_any_batch_size(vlm, images, eager_to_end, settings):
    vlm = eager_to_end(vlm)
    runs = [
        generate_responses(
            vlm, QUESTIONS, images, max_new_tokens=12, batch_size=size, general=general, **settings
        )
        for size, general in ((5, False), (2, False), (1, False), (5, True), (2, True))
    ]
    assert all(run == runs[0] for run in runs)
    assert [len(rows) for rows in runs[0]] == [settings.get("num_samples", 1)] * len(QUESTIONS)


def test_seeds_repeat_and_differ(llava, images):
    first, again, other = (
        generate_responses(llava, QUESTIONS, images, max_new_tokens=6, temperature=1.0, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_samples_of_a_prompt_differ_and_so_do_equal_prompts(llava):
    found = generate_responses(
        llava, ["Hm?"] * 2, [picture(0)] * 2, max_new_tokens=8, num_samples=3, temperature=1.0
    )
    assert len({tuple(said.token_ids) for rows in found for said in rows}) == 6


def test_samples_follow_the_models_probabilities(llava):
    """Chi-square of 2,000 first tokens against softmax(logits / temperature)."""
    count, temperature = 2000, 0.7
    found = generate_responses(
        llava,
        ["Hm?"],
        [picture(0)],
        max_new_tokens=1,
        num_samples=count,
        temperature=temperature,
        seed=5,
    )
    with torch.no_grad():
        logits = llava.model(**encode_prompts(llava, ["Hm?"], [picture(0)])).logits[0, -1].double()
    logits[list(llava.placeholder_token_ids)] = -torch.inf
    expected = (logits / temperature).softmax(-1) * count
    seen = torch.bincount(torch.tensor([s.token_ids[0] for s in found[0]]), minlength=len(expected))
    common = expected > 10
    cells = torch.cat([expected[common], expected[~common].sum()[None]])
    hits = torch.cat([seen[common], seen[~common].sum()[None]])
    statistic = float(((hits - cells) ** 2 / cells).sum())
    degrees = len(cells) - 1
    assert degrees > 10
    assert abs(statistic - degrees) < 4 * math.sqrt(2 * degrees)


def test_top_p_keeps_the_smallest_set_that_holds_it():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    nothing = torch.tensor([], dtype=torch.long)
    for top_p, allowed in ((0.5, {0}), (0.51, {0, 1}), (0.8, {0, 1}), (0.96, {0, 1, 2, 3})):
        choice = TokenChoice(1.0, top_p, nothing, None, 1, 1)
        drawn = torch.linspace(0, 1 - 1e-9, 400, dtype=torch.float64)
        found = choose(logits.expand(400, -1).double(), drawn, choice)
        assert set(found.tolist()) == allowed


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("settings", [{}, SAMPLED])
def test_placeholders_are_never_generated_however_likely(own_llava, general, settings):
    token = own_llava.placeholder_token_ids[0]
    head = own_llava.model.lm_head.weight
    with torch.no_grad():
        state = own_llava.model.model(
            **encode_prompts(own_llava, ["Hm?"], [picture(0)])
        ).last_hidden_state[0, -1]
        head[token] = 100 * state
    with torch.no_grad():
        logits = own_llava.model(**encode_prompts(own_llava, ["Hm?"], [picture(0)])).logits[0, -1]
    assert int(logits.argmax()) == token
    found = generate_responses(
        own_llava, ["Hm?"], [picture(0)], max_new_tokens=20, general=general, **settings
    )
    assert all(token not in said.token_ids for rows in found for said in rows)


def test_finish_says_why_it_ended(vlm, images, eager_to_end):
    found = generate_responses(eager_to_end(vlm), QUESTIONS, images, max_new_tokens=10)
    for (said,) in found:
        ended = said.token_ids[-1] in vlm.end_token_ids
        assert said.finish == ("stop" if ended else "length")
        assert ended or len(said.token_ids) == 10
    assert len({said.finish for (said,) in found}) == 2


def test_generated_tokens_score_as_they_were_chosen(vlm, images):
    """What generation chose greedily is what scoring finds likeliest: both read the same prompt."""
    found = generate_responses(vlm, QUESTIONS[:2], images[:2], max_new_tokens=6)
    batch = BranchBatch(
        encode_prompts(vlm, QUESTIONS[:2], images[:2]),
        *stack_responses([[said.token_ids] for (said,) in found]),
    )
    other = (batch.response_ids + 1) % 200
    with torch.no_grad():
        chosen = score_branches(vlm.model, batch)[:, 0, 0]
        swapped = score_branches(vlm.model, BranchBatch(batch.prompt, other, batch.response_mask))[
            :, 0, 0
        ]
    assert (chosen > swapped).all()


def test_kept_features_give_the_same_responses(llava, images, tmp_path):
    cache = FeatureCache(tmp_path, llava)
    live = generate_responses(llava, QUESTIONS, images, max_new_tokens=6)
    for general in (False, True):
        kept = generate_responses(
            llava, QUESTIONS, images, max_new_tokens=6, feature_cache=cache, general=general
        )
        assert kept == live
    assert (cache.misses, cache.hits) == (5, 5)


def test_the_training_mode_is_left_as_it_was(own_llava, images):
    own_llava.model.train()
    generate_responses(own_llava, QUESTIONS[:1], images[:1], max_new_tokens=2)
    assert own_llava.model.training


def test_no_questions_no_answers(llava):
    assert generate_responses(llava, [], []) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_samples": 0},
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"num_samples": 2},
    ],
)
def test_settings_without_sense_are_refused(llava, wrong):
    with pytest.raises(ModelError):
        generate_responses(llava, ["Hm?"], [picture(0)], **wrong)


def test_questions_and_images_must_be_as_many(llava):
    with pytest.raises(ModelError, match="got 1 and 0"):
        generate_responses(llava, ["Hm?"], [])


def test_tokens_that_are_forbidden_are_never_chosen_and_a_stream_decides_alone(vlm):
    prompt = encode_prompts(
        vlm, ["What is in the picture?", "Is there a knife?"], [picture(0), picture(1)]
    )
    keep = set(vlm.end_token_ids) | set(range(20, 60))
    forbidden = [
        token for token in range(vlm.model.config.get_text_config().vocab_size) if token not in keep
    ]
    settings = {"temperature": 2.0, "top_p": 1.0, "max_new_tokens": 12}
    both = generate_tokens(
        vlm, prompt, streams=[[5, 6, 7], [8, 9, 5]], forbidden=forbidden, **settings
    )
    assert [len(row) for row in both] == [3, 3]
    assert {token for row in both for ids in row for token in ids} <= keep
    other = generate_tokens(vlm, prompt, streams=[[7], [9]], forbidden=forbidden, **settings)
    assert other == [[both[0][2]], [both[1][1]]]
    general = generate_tokens(
        vlm,
        prompt,
        streams=[[5, 6, 7], [8, 9, 5]],
        forbidden=forbidden,
        decoder=Decoder(vlm, general=True),
        **settings,
    )
    assert general == both
