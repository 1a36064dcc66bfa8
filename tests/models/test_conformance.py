"""Every family of the table, as a random miniature: Veridical computes what transformers does.

The oracle is transformers alone: processor, one unpadded forward per response, log-softmax over all
logits; `generate` for one prompt at a time.
"""

from functools import cache
from itertools import product

import pytest
import torch
import transformers

import model_zoo
from miniatures import picture
from veridical.errors import ModelError
from veridical.models import branch_layout
from veridical.models.architectures.parts import language_model, vocabulary_head
from veridical.models.architectures.table import (
    ARCHITECTURES,
    UNSUPPORTED,
    architecture_of,
)
from veridical.models.branches import (
    BranchBatch,
    branch_hidden_states,
    evaluate_branches,
    no_branches_reason,
    score_branches,
    stack_responses,
)
from veridical.models.decoding.decoder import Decoder
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_tokens
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora
from veridical.models.path_choice import paths_taken
from veridical.models.prompts.encoding import (
    encode_prompts,
    encode_separately,
    image_keys,
    release_pixels,
    stack_prompts,
)
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.responses import encode_responses

QUESTIONS = [
    "What is in the picture?",
    "And here? <image> Is there a knife?",
    "Describe it.",
]
HISTORIES = [(), [("Look at <image>. What is it?", "A kitchen.")], ()]
SYSTEMS = ["", "Be brief.", ""]
IMAGES = [
    picture(0, size=(64, 48)),
    [picture(1, size=(30, 90)), picture(2, size=(64, 64))],
    None,
]
RESPONSES = ["There is a red car.", "No, there is no knife.", "Two dogs.", "A man rides."]
SUPPORTED = [name for name in model_zoo.NAMES if name != "mllama"]
AFTER_PROMPT = {("paligemma", "token_type_ids"): 1, ("", "attention_mask"): 1}
"""What transformers wants of a response's tokens where it is not 0."""
SPLIT = {("right", 1), ("right", 2), ("left", 4)}
"""Padding and branches that are scored in two calls of attention."""
CANNOT = {
    # Its processor raises without an image.
    "paligemma": {2},
    "paligemma, gemma2": {2},
    # LLaVA's processor, used here since their own need torchvision, counts two sizes as one.
    "llava, pixtral": {1},
    "mistral3": {1},
    "lighton_ocr": {1},
    # The smaller of two pictures is padded, and what its tower makes of the padding is read.
    "emu3": {1},
}
"""Prompts that the miniature's own processor cannot lay out, or not without another's padding."""


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    return cache(lambda name: model_zoo.build(name, tmp_path_factory.mktemp("zoo") / "model"))


@pytest.fixture(params=SUPPORTED)
def family(request, folder_of):
    """A miniature with the numbers of the prompts that its processor takes."""
    vlm = load_model(folder_of(request.param), device="cpu")
    return vlm, [n for n in range(3) if n not in CANNOT.get(request.param, ())]


def as_transformers_reads_it(vlm, number):
    """A prompt as the model's own processor lays it out."""
    images = IMAGES[number] or []
    images = images if isinstance(images, list) else [images]
    shown = {"type": "image"}
    messages = {
        0: [("user", shown, QUESTIONS[0])],
        1: [
            ("system", SYSTEMS[1]),
            ("user", "Look at ", shown, ". What is it?"),
            ("assistant", "A kitchen."),
            ("user", "And here? ", shown, " Is there a knife?"),
        ],
        2: [("user", QUESTIONS[2])],
    }[number]
    owner = vlm.processor if vlm.processor.chat_template else vlm.tokenizer
    text = owner.apply_chat_template(
        [
            {
                "role": role,
                "content": [
                    part if part is shown else {"type": "text", "text": part} for part in parts
                ],
            }
            for role, *parts in messages
        ],
        add_generation_prompt=True,
        tokenize=False,
    )
    begins = vlm.tokenizer.bos_token and text.startswith(vlm.tokenizer.bos_token)
    inputs = vlm.processor(
        text=[text],
        images=[images] if images else None,
        add_special_tokens=not begins,
        return_tensors="pt",
    )
    inputs.pop("labels", None)
    return dict(inputs)


def lay_out(vlm, numbers):
    """The prompts as Veridical lays them out."""
    columns = (QUESTIONS, IMAGES, HISTORIES, SYSTEMS)
    questions, images, histories, systems = ([column[n] for n in numbers] for column in columns)
    return encode_prompts(vlm, questions, images, histories=histories, systems=systems)


def score_alone(vlm, number, ids):
    """Log-probabilities of a response in a forward of its own."""
    inputs, response = as_transformers_reads_it(vlm, number), torch.tensor([ids])
    family = vlm.model.config.model_type
    for key, value in inputs.items():
        if value.shape == inputs["input_ids"].shape and key != "input_ids":
            fill = AFTER_PROMPT.get((family, key), AFTER_PROMPT.get(("", key), 0))
            inputs[key] = torch.cat([value, torch.full_like(response, fill).to(value.dtype)], -1)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], response], -1)
    logits = vlm.model(**inputs).logits[0].log_softmax(-1)
    return logits[-len(ids) - 1 : -1].gather(1, response.T).squeeze(1)


@torch.no_grad()
def test_scores_are_those_of_plain_transformers(family, monkeypatch):
    """One, two and no images in a batch, padded left and right, K = 1, 2, 4, LoRA or not.

    The two images stand at their places in a second turn's and an earlier turn's text, after a
    system message.
    """
    vlm, numbers = family
    ids = [response.ids for response in encode_responses(vlm, RESPONSES)]
    for adapter in (False, True):
        if adapter:
            vlm = add_lora(vlm, LoraRecipe(rank=2))
            vlm.model.eval()
            for name, parameter in vlm.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, 0.1)
        alone = {(n, r): score_alone(vlm, n, ids[r]) for n, r in product(numbers, range(4))}
        for side, K in product(("left", "right"), (1, 2, 4)):
            vlm.tokenizer.padding_side = side
            # Both ways to attend: under one mask, and in two calls, as with hub models' prompts.
            monkeypatch.setattr(branch_layout, "SPLIT_FROM", 1 if (side, K) in SPLIT else 256)
            prompt = lay_out(vlm, numbers)
            rows = [[ids[(n + k) % 4] for k in range(K)] for n in numbers]
            batch = BranchBatch(prompt, *stack_responses(rows))
            for plain in {True, no_branches_reason(vlm.model) is not None}:
                scores = score_branches(vlm.model, batch, plain=plain)
                for (b, n), k in product(enumerate(numbers), range(K)):
                    expected = alone[n, (n + k) % 4]
                    torch.testing.assert_close(
                        scores[b, k, : len(expected)], expected, rtol=0, atol=1e-5
                    )
    if no_branches_reason(vlm.model) is None:
        assert set(paths_taken(vlm.model)) == {"branches"}
    vlm.tokenizer.padding_side = "left"


@torch.no_grad()
def test_a_tower_that_reads_padding_sees_each_picture_alone(folder_of):
    """Emu3's processor pads pictures to the largest of a batch, and its tower reads the padding."""
    vlm = load_model(folder_of("emu3"), device="cpu")
    ids = encode_responses(vlm, RESPONSES[:1])[0].ids
    pictures = [picture(0, size=(64, 48)), picture(1, size=(30, 90))]
    together, *alone = (
        score_branches(
            vlm.model,
            BranchBatch(
                encode_prompts(vlm, ["Hm?"] * len(shown), shown),
                *stack_responses([[ids]] * len(shown)),
            ),
        )
        for shown in (pictures, pictures[:1], pictures[1:])
    )
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


@torch.no_grad()
def test_hidden_states_are_those_that_the_model_reads_its_logits_from(family):
    """What reward and value heads read, of architectures without a backbone of their own, too."""
    vlm, numbers = family
    ids = encode_responses(vlm, RESPONSES[:1])[0].ids
    prompt = lay_out(vlm, numbers[:1])
    batch = BranchBatch(prompt, *stack_responses([[ids]]))
    states = branch_hidden_states(vlm.model, batch, at="before")
    torch.testing.assert_close(states, evaluate_branches(vlm.model, batch).states)
    inputs = as_transformers_reads_it(vlm, numbers[0])
    expected = vlm.model(**inputs).logits[:, -1].argsort()
    logits = vocabulary_head(vlm.model)(states[:, 0, 0])
    assert torch.equal(logits.argsort()[:, -5:], expected[:, -5:])


@torch.no_grad()
def test_kept_features_give_what_pixels_give(family, tmp_path):
    """Prompts with one, two and no images, whose pixels have been released."""
    vlm, numbers = family
    if not architecture_of(vlm.model.config).features:
        pytest.skip("its row says that features are not kept")
    texts, shown = [], []
    for n in numbers:
        images = IMAGES[n] if isinstance(IMAGES[n], list) else [IMAGES[n]] * (IMAGES[n] is not None)
        turns = [*(text for exchange in HISTORIES[n] for text in exchange), QUESTIONS[n]]
        texts.append(render_turns(vlm, turns, num_images=len(images), system=SYSTEMS[n]))
        shown.append(images)
    prompts = encode_separately(vlm, texts, shown)
    released = release_pixels(prompts, FeatureCache(tmp_path, vlm))
    assert not any("pixel_values" in one.prompt for one in released)
    ids = [response.ids for response in encode_responses(vlm, RESPONSES[:2])]
    responses = stack_responses([ids] * len(numbers))
    later = FeatureCache(tmp_path, vlm)
    kept, live = (
        score_branches(
            vlm.model,
            BranchBatch(stack_prompts(whole, pad_token_id=0), *responses),
            image_outputs=outputs,
        )
        for whole, outputs in (
            ([one.prompt for one in released], later.load(image_keys(released))),
            (prompts, None),
        )
    )
    assert later.misses == 0
    torch.testing.assert_close(kept, live, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_greedy_responses_are_those_of_generate(family):
    vlm, numbers = family
    prompt = lay_out(vlm, numbers)
    found = generate_tokens(
        vlm,
        prompt,
        streams=[[0]] * len(numbers),
        temperature=0,
        top_p=1,
        max_new_tokens=8,
        forbidden=vlm.placeholder_token_ids,
    )
    for n, (answer,) in zip(numbers, found, strict=True):
        inputs = as_transformers_reads_it(vlm, n)
        expected = vlm.model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=8,
            suppress_tokens=list(vlm.placeholder_token_ids),
        )[0, inputs["input_ids"].shape[1] :].tolist()
        assert answer == expected


@torch.inference_mode()
def test_samples_are_the_same_on_both_decoding_paths(family):
    vlm, numbers = family
    prompt = lay_out(vlm, numbers)
    streams = [[10 * n + k for k in range(3)] for n in numbers]
    options = {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 6, "forbidden": ()}
    fast, general = (
        generate_tokens(
            vlm, prompt, streams=streams, decoder=Decoder(vlm, general=general), **options
        )
        for general in (False, True)
    )
    assert fast == general


def test_an_adapter_lands_in_the_language_model_alone(family):
    vlm, _ = family
    inside = {id(parameter) for parameter in language_model(vlm.model).parameters()}
    adapted = add_lora(vlm, LoraRecipe(rank=2))
    decoder = {id(parameter) for parameter in language_model(adapted.model).parameters()}
    decoder -= {id(parameter) for parameter in vocabulary_head(adapted.model).parameters()}
    trained = [parameter for parameter in adapted.model.parameters() if parameter.requires_grad]
    assert trained
    assert all(id(parameter) in decoder - inside for parameter in trained)


def test_the_fused_experts_of_a_mixture_are_adapted_too(folder_of):
    vlm = load_model(folder_of("qwen3_vl_moe"), device="cpu")
    with pytest.raises(ModelError, match="Fused experts take no dropout"):
        add_lora(vlm, LoraRecipe(rank=2, dropout=0.1))
    # PEFT looks for the last parts of names where there are experts; an audio tower has these too.
    vlm.model.model.visual.q_proj = torch.nn.Linear(4, 4)
    adapted = add_lora(vlm, LoraRecipe(rank=2))
    trained = [name for name, p in adapted.model.named_parameters() if p.requires_grad]
    assert any(".mlp.experts." in name for name in trained)
    assert all(".language_model." in name for name in trained)


def test_cross_attention_is_refused_at_loading(folder_of):
    with pytest.raises(ModelError, match="`mllama`, which is not supported: its images enter by"):
        load_model(folder_of("mllama"), device="cpu")


def test_a_window_that_only_a_cache_knows_is_refused_at_loading(tmp_path):
    transformers.UnlimitedOcrConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not supported: while it writes it sees a window"):
        load_model(tmp_path, device="cpu")


def test_every_row_is_proven_or_says_that_it_is_not():
    built = {name.partition(",")[0] for name in model_zoo.NAMES}
    assert {name for name, row in ARCHITECTURES.items() if row.proven} == built - set(UNSUPPORTED)


def test_a_picture_that_a_processor_cannot_read_is_a_clear_error(folder_of):
    vlm = load_model(folder_of("qwen3_vl"), device="cpu")
    with pytest.raises(
        ModelError, match=r"cannot read the prompt \(600×2\): absolute aspect ratio"
    ):
        encode_prompts(vlm, ["Hm?"], [picture(0, size=(600, 2))])


def test_a_processor_without_patch_size_is_a_clear_error(folder_of):
    vlm = load_model(folder_of("llava"), device="cpu")
    vlm.processor.patch_size = None
    with pytest.raises(ModelError, match="cannot read the prompt"):
        encode_prompts(vlm, ["Hm?"], [picture(0)])


def test_a_template_that_wants_texts_is_a_clear_error(folder_of):
    vlm = load_model(folder_of("llava"), device="cpu")
    vlm.processor.chat_template = "{% for m in messages %}{{ m['content'] + 'x' }}{% endfor %}"
    with pytest.raises(ModelError, match="cannot render a turn whose content is a list"):
        encode_prompts(vlm, ["Hm?"], [picture(0)])
