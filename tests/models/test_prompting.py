import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.architectures.images import repeat_images
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import encode_prompts, stack_prompts
from veridical.models.prompts.responses import decode_responses, encode_responses

TEXTS = [
    "There is a red car.",
    "",
    "No, there is 🙂 no\n knife",
    " two  dogs ",
    "\nA man",
    "e\u0301té",
    "a\r\nb",
]


def with_template(vlm, template):
    """The same model under another chat template."""
    import copy

    processor = copy.copy(vlm.processor)
    processor.chat_template = template
    return VisionLanguageModel(vlm.model, processor, vlm.name)


def test_prompts_end_at_the_same_column_and_keep_every_key(vlm):
    prompt = encode_prompts(
        vlm, ["Hm?", "What is in the picture on the left?"], [picture(0), picture(1)]
    )
    assert prompt["attention_mask"][:, -1].tolist() == [1, 1]
    assert prompt["attention_mask"][0, 0] == 0
    assert torch.equal(prompt["input_ids"][0, -2:], prompt["input_ids"][1, -2:])
    assert "pixel_values" in prompt
    assert ("image_grid_thw" in prompt) == ("qwen" in vlm.model.config.model_type)


def test_the_image_comes_first_and_the_generation_prompt_last(llava):
    ids = encode_prompts(llava, ["What is it?"], [picture(0)])["input_ids"][0]
    text = llava.tokenizer.decode(ids)
    assert text.endswith("What is it? ASSISTANT:")
    assert text.index("<image>") < text.index("What")
    assert text.count("<s>") == 1


def test_a_template_that_writes_the_begin_token_does_not_double_it(llava):
    marked = with_template(llava, "<s>" + llava.processor.chat_template)
    ids = encode_prompts(marked, ["What is it?"], [picture(0)])["input_ids"][0].tolist()
    assert ids.count(llava.tokenizer.bos_token_id) == 1


def test_grey_and_transparent_images_are_read(vlm):
    images = [picture(0).convert("L"), picture(0).convert("RGBA")]
    assert len(encode_prompts(vlm, ["Hm?"] * 2, images)["input_ids"]) == 2


def test_a_placeholder_in_a_question_or_response_is_refused(vlm):
    token = vlm.tokenizer.convert_ids_to_tokens(vlm.placeholder_token_ids[0])
    with pytest.raises(ModelError, match=r"Question 1 holds|2 <image> markers .* for 1 images"):
        encode_prompts(vlm, ["Hm?", f"What is {2 * token}?"], [picture(0)] * 2)
    with pytest.raises(ModelError, match="Response 0 holds"):
        encode_responses(vlm, [f"It is {token}."])


def test_an_end_token_in_a_response_is_refused(vlm):
    with pytest.raises(ModelError, match="end token as text"):
        encode_responses(vlm, [f"It is{vlm.tokenizer.eos_token} not."])


def test_placeholders_must_be_as_many_as_features(own_llava):
    own_llava.processor.num_additional_image_tokens = 0
    with pytest.raises(
        ModelError, match="The prompt has 15 image placeholders for 16 image features"
    ):
        encode_prompts(own_llava, ["Hm?"], [picture(0)])


def test_a_prompt_is_never_cut(vlm):
    vlm.tokenizer.model_max_length = 20
    assert encode_prompts(vlm, ["What is in the picture?"], [picture(0)])["input_ids"].shape[1] > 20
    with pytest.raises(ModelError, match="reads at most 512"):
        encode_prompts(vlm, ["What is in the picture? " * 200], [picture(0)])


def test_kinds_of_tokens_that_a_model_needs_are_given_where_its_processor_does_not(
    qwen, monkeypatch
):
    expected = encode_prompts(qwen, ["Hm?"], [picture(0)])["mm_token_type_ids"]
    monkeypatch.setattr(type(qwen.processor), "return_mm_token_type_ids", False)
    found = encode_prompts(qwen, ["Hm?"], [picture(0)])["mm_token_type_ids"]
    assert torch.equal(found, expected)


def test_patches_that_lie_side_by_side_are_joined_and_repeated_side_by_side():
    """MiniCPM-V's pictures are one row of patches, with their sizes beside it."""
    prompts = [
        {
            "input_ids": torch.zeros(1, 2, dtype=torch.long),
            "pixel_values": torch.full((1, 3, 4, 4 * width), float(width)),
            "target_sizes": torch.tensor([[1, width]]),
        }
        for width in (2, 5)
    ]
    stacked = stack_prompts(prompts, pad_token_id=0)
    assert stacked["pixel_values"].shape == (1, 3, 4, 28)
    assert stacked["target_sizes"].tolist() == [[1, 2], [1, 5]]
    images = {key: stacked[key] for key in ("pixel_values", "target_sizes")}
    again = repeat_images(images, times=2)
    assert torch.equal(again["pixel_values"], torch.cat([images["pixel_values"]] * 2, -1))
    assert again["target_sizes"].tolist() == [[1, 2], [1, 5]] * 2


def test_pixels_in_half_precision_reach_the_tower_in_its_own(own_llava):
    """Llama 4's processor gives bfloat16, whatever the model is."""

    class Halved(type(own_llava.processor)):
        def __call__(self, *args, **kwargs):
            inputs = super().__call__(*args, **kwargs)
            return inputs | {"pixel_values": inputs["pixel_values"].bfloat16()}

    own_llava.processor.__class__ = Halved
    prompt = encode_prompts(own_llava, ["Hm?"], [picture(0)])
    assert own_llava.model(**prompt).logits.isfinite().all()


def test_questions_and_images_must_be_as_many(llava):
    with pytest.raises(ModelError, match="2 questions and 1 images"):
        encode_prompts(llava, ["Hm?", "Hm?"], [picture(0)])


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_the_text_back(vlm, text):
    encoded = encode_responses(vlm, [text])[0]
    assert encoded.ids[-1] in vlm.end_token_ids
    assert len(encoded.ids) == len(encoded.offsets)
    assert decode_responses(vlm, [encoded.ids]) == [text]


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="<\u2581"), max_size=30))
def test_any_text_survives_and_its_offsets_cover_it(vlm, text):
    encoded = encode_responses(vlm, [text])[0]
    assert decode_responses(vlm, [encoded.ids]) == [text]
    covered = set()
    last = 0
    for start, end in encoded.offsets:
        assert last <= start <= end <= len(text)
        covered |= set(range(start, end))
        last = start
    assert covered == set(range(len(text)))


def test_offsets_are_in_code_points_and_leave_the_separator_out(vlm):
    text = "a 🙂 dog"
    encoded = encode_responses(vlm, [text])[0]
    pieces = [text[start:end] for start, end in encoded.offsets]
    assert pieces[0] == "a"
    assert "🙂" in "".join(dict.fromkeys(pieces))
    assert encoded.offsets[-1] == (len(text), len(text))


def test_prompt_and_response_tokens_are_the_rendered_conversations(vlm):
    """Prompt ids + response ids = the ids of the whole conversation as the template renders it."""
    question, text = "What is in the picture?", "There is a red car."
    prompt = encode_prompts(vlm, [question], [picture(0)])["input_ids"][0].tolist()
    told = vlm.processor.apply_chat_template(
        [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]},
            {"role": "assistant", "content": [{"type": "text", "text": text}]},
        ]
    )
    whole = vlm.processor(text=[told], images=[[picture(0)]])["input_ids"][0]
    response = encode_responses(vlm, [text])[0].ids[:-1]
    assert list(whole)[: len(prompt) + len(response)] == prompt + response


def test_the_end_of_the_turn_is_the_templates(qwen, llava):
    assert encode_responses(qwen, ["a"])[0].ids[-1] == qwen.tokenizer.convert_tokens_to_ids(
        "<|im_end|>"
    )
    # LLaVA's template writes none: then it is the tokenizer's end token.
    assert encode_responses(llava, ["a"])[0].ids[-1] == llava.tokenizer.eos_token_id


def test_long_responses_are_cut_without_an_end(vlm):
    whole, cut = (
        encode_responses(vlm, ["There is a red car."], max_tokens=n)[0] for n in (None, 3)
    )
    assert cut.truncated
    assert not whole.truncated
    assert cut.ids == whole.ids[:3]
    assert cut.offsets == whole.offsets[:3]
    assert not encode_responses(vlm, ["There is a red car."], max_tokens=len(whole.ids))[
        0
    ].truncated


def test_a_template_that_drops_the_answer_is_refused(llava):
    deaf = with_template(llava, "USER: <image> Q ASSISTANT:")
    with pytest.raises(ModelError, match="leaves out the assistant's turns"):
        encode_responses(deaf, ["a"])
