"""Reward models on real architectures: what a reward depends on, and what it must not depend on."""

import json

import pytest
import torch

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.adapters import use_adapter
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora
from veridical.models.prompts.encoding import encode_prompts
from veridical.records import Facts
from veridical.rewards.head import new_head
from veridical.rewards.model import RewardModel
from veridical.rewards.queries import RewardQuery
from veridical.rewards.template import RewardTemplate

MODELS = ["tiny_llava_path", "tiny_qwen2_5_vl_path"]
FACTS = (
    Facts(
        image_id="a",
        kind="caption",
        texts=("There is a red car on the left.", "Two dogs near the tree."),
    ),
)
SAID = ("There is a red car.", "There is a blue car and a dog on the left.", "Two dogs.")
TEMPLATES = {
    "before": RewardTemplate(),
    "after": RewardTemplate(name="llava-rlhf"),
    "quote": RewardTemplate(name="world-quote"),
    "end": RewardTemplate(name="world"),
}


def make(path, template=TEMPLATES["before"], *, lora=True, seed=0, **more):
    """A reward model whose adapter and head are random."""
    vlm = load_model(path, device="cpu")
    torch.manual_seed(seed)
    if lora:
        vlm = add_lora(vlm, LoraRecipe(rank=2))
        with torch.no_grad():
            for name, parameter in vlm.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
    head = new_head(vlm)
    torch.nn.init.normal_(head.weight)
    return RewardModel(vlm, head, template, **more)


def saved(model, folder):
    return model.save(
        folder, base=model.vlm.name, base_hash=model_hash(model.vlm.model, adapters=False)
    )


def query(number=0, responses=SAID, facts=FACTS, question="What is in the picture?", **more):
    return RewardQuery(question, picture(number), tuple(responses), facts, **more)


@pytest.fixture(params=MODELS)
def path(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_reward_depends_on_nothing_but_its_own(path, template):
    """Not on other responses, K, padding, batch order or batch size."""
    model = make(path, template)
    queries = [
        query(0, SAID),
        query(
            1,
            SAID[:1],
            question="Is there a knife in the picture, or three green cups on the large table?",
        ),
        query(2, SAID[::-1], facts=(FACTS[0].model_copy(update={"texts": ("A yellow lamp.",)}),)),
    ]
    together = model.score(queries, batch_size=3)
    for size in (1, 2):
        for a, b in zip(together, model.score(queries, batch_size=size), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    for a, b in zip(reversed(together), model.score(queries[::-1]), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    for number, text in enumerate(SAID):
        (alone,) = model.score([query(0, [text])])
        torch.testing.assert_close(alone[0], together[0][number], atol=1e-4, rtol=1e-4)
    assert together[0].std() > 1e-3  # else all this would say nothing


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_reward_reads_question_image_facts_and_ending(path, template):
    model = make(path, template)
    (plain,) = model.score([query()])
    swapped = (FACTS[0].model_copy(update={"texts": ("A yellow lamp.",)}),)
    changed = {
        "question": query(question="Is there a knife?"),
        "image": query(1),
        "facts": query(facts=swapped),
        "history": query(history=(("Is there a knife?", "No, there is no knife in the image."),)),
    }
    if template.layout == "turns":
        changed["ending"] = query(finished=(False,) * len(SAID))
    for name, other in changed.items():
        assert not torch.allclose(model.score([other])[0], plain, atol=1e-4), name


def test_facts_of_kinds_that_the_template_does_not_name_are_left_out(tiny_llava_path):
    template = RewardTemplate(facts={"headings": {"caption": "Captions:"}})
    model = make(tiny_llava_path, template)
    rationale = Facts(image_id="a", kind="rationale", texts=("A yellow lamp.",))
    (plain,), (more,) = (
        model.score([query(facts=facts)]) for facts in (FACTS, (*FACTS, rationale))
    )
    assert torch.equal(plain, more)


def test_kept_features_change_nothing(tiny_llava_path):
    model = make(tiny_llava_path)
    for parameter in model.vlm.model.parameters():
        parameter.requires_grad_(requires_grad=False)
    features = FeatureCache(None, model.vlm)
    queries = [query(number) for number in range(3)]
    for _ in range(2):
        for a, b in zip(model.score(queries, features=features), model.score(queries), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert features.misses == 3


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize(
    "template", [TEMPLATES["before"], TEMPLATES["quote"]], ids=["before", "quote"]
)
def test_pooling_reads_the_responses_own_tokens_only(path, template, pooling):
    """Text after the response cannot matter then, and a sum is the mean times the tokens."""
    model = make(path, template, pooling=pooling)
    (found,) = model.score([query()])
    model.template = RewardTemplate(
        **{**template.model_dump(), "after": "A yellow lamp.", "verdict": ""}
    )
    torch.testing.assert_close(model.score([query()])[0], found, atol=1e-4, rtol=1e-4)
    if pooling == "mean":
        lengths = torch.tensor(model.encode([query()])[0].response_lengths)
        model.pooling = "sum"
        torch.testing.assert_close(model.score([query()])[0], found * lengths, atol=1e-3, rtol=1e-3)


def test_facts_behind_the_response_need_the_last_token(tiny_llava_path):
    with pytest.raises(ModelError, match="facts_position"):
        make(tiny_llava_path, TEMPLATES["after"], pooling="sum")


@pytest.mark.parametrize("lora", [True, False], ids=["adapter", "model"])
def test_saved_and_loaded_it_gives_the_same(path, tmp_path, lora):
    model = make(path, TEMPLATES["after"], lora=lora, mean=0.5, deviation=2.0)
    loaded = RewardModel.load(saved(model, tmp_path / "reward"), device="cpu")
    assert torch.equal(loaded.score([query()])[0], model.score([query()])[0])
    assert loaded.template == model.template
    assert (loaded.mean, loaded.deviation, loaded.pooling) == (0.5, 2.0, "last")


def test_it_shares_a_base_with_a_policy_and_neither_touches_the_other(path, tmp_path):
    reward = make(path, seed=1)
    expected = reward.score([query()])[0]
    folder = saved(reward, tmp_path / "reward")
    policy = add_lora(load_model(path, device="cpu"), LoraRecipe(rank=3))
    prompt = encode_prompts(policy, ["What is it?"], [picture(0)])
    with torch.no_grad():
        said = policy.model(**prompt).logits
    learning = {name: p.requires_grad for name, p in policy.model.named_parameters()}
    attached = RewardModel.attach(policy, folder)
    assert attached.vlm.model is policy.model
    assert torch.equal(attached.score([query()])[0], expected)
    with torch.no_grad():
        assert torch.equal(policy.model(**prompt).logits, said)
    flags = {
        name: p.requires_grad
        for name, p in policy.model.named_parameters()
        if ".reward." not in name
    }
    assert flags == learning

    policy.model(**prompt).logits.square().mean().backward()
    touched = {
        name
        for name, p in policy.model.named_parameters()
        if p.grad is not None and bool(p.grad.any())
    }
    assert touched
    assert not any(".reward." in name for name in touched)
    attached.score([query()])
    optimiser = torch.optim.SGD([p for p in policy.model.parameters() if p.requires_grad], lr=1.0)
    optimiser.step()
    # the policy starts at lora_B = 0, so one step moves it; the reward has not noticed
    with torch.no_grad():
        assert not torch.equal(policy.model(**prompt).logits, said)
    assert torch.equal(attached.score([query()])[0], expected)


def test_the_rewards_gradients_stay_in_reward_adapter_and_head(path, tmp_path):
    folder = saved(make(path, seed=1), tmp_path / "reward")
    policy = add_lora(load_model(path, device="cpu"), LoraRecipe(rank=3))
    attached = RewardModel.attach(policy, folder)
    reward_weights = [p for name, p in policy.model.named_parameters() if ".reward." in name]
    for parameter in [*reward_weights, attached.head.weight]:
        parameter.requires_grad_()
    with use_adapter(policy.model, "reward"):
        attached.rewards(attached.collate(attached.encode([query()]))).sum().backward()
    touched = {
        name
        for name, p in policy.model.named_parameters()
        if p.grad is not None and bool(p.grad.any())
    }
    assert touched
    assert all(".reward." in name for name in touched)
    assert bool(attached.head.weight.grad.any())


def test_another_tokenizer_template_or_base_is_refused(
    tiny_llava_path, tiny_qwen2_5_vl_path, tmp_path
):
    folder = saved(make(tiny_llava_path), tmp_path / "reward")
    with pytest.raises(ModelError, match="a tokenizer or chat template other"):
        RewardModel.attach(load_model(tiny_qwen2_5_vl_path, device="cpu"), folder)
    other = load_model(tiny_llava_path, device="cpu")
    other.processor.chat_template = other.processor.chat_template.replace("ASSISTANT", "BOT")
    with pytest.raises(ModelError, match="a tokenizer or chat template other"):
        RewardModel.attach(other, folder)
    other = load_model(tiny_llava_path, device="cpu")
    with torch.no_grad():
        next(other.model.parameters()).add_(1)
    with pytest.raises(ModelError, match="trained on weights other"):
        RewardModel.attach(other, folder)
    assert RewardModel.attach(other, folder, check_base="any").score([query()])


def test_padding_settings_of_a_tokenizer_are_no_other_tokenizer(tiny_llava_path, tmp_path):
    folder = saved(make(tiny_llava_path), tmp_path / "reward")
    vlm = load_model(tiny_llava_path, device="cpu")
    vlm.tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=2)
    RewardModel.attach(vlm, folder)


def test_without_its_template_or_head_it_does_not_score(tiny_llava_path, tmp_path):
    folder = saved(make(tiny_llava_path), tmp_path / "reward")
    card = folder / "reward_model.json"
    text = card.read_text()
    card.write_text(
        json.dumps({name: value for name, value in json.loads(text).items() if name != "template"})
    )
    with pytest.raises(ModelError, match="without its template a reward model cannot score"):
        RewardModel.load(folder, device="cpu")
    card.write_text(text)
    (folder / "head.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="Cannot read the head"):
        RewardModel.load(folder, device="cpu")
    with pytest.raises(ModelError, match="not a reward model"):
        RewardModel.load(tmp_path, device="cpu")


def test_weights_of_its_own_cannot_share_a_base(tiny_llava_path, tmp_path):
    folder = saved(make(tiny_llava_path, lora=False), tmp_path / "reward")
    with pytest.raises(ModelError, match=r"RewardModel\.load"):
        RewardModel.attach(load_model(tiny_llava_path, device="cpu"), folder)


def test_a_prompt_longer_than_the_window_is_refused_by_name(path):
    model = make(path)
    with pytest.raises(ModelError, match=r"'p7' takes \d+ tokens"):
        model.score([query(name="p7", responses=["There is a dog. " * 100])])
    with pytest.raises(ModelError, match="`max_tokens` allows 20"):
        model.encode([query()], max_tokens=20)


def test_a_reward_that_is_not_a_number_is_refused_by_name(path):
    model = make(path)
    with torch.no_grad():
        model.head.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match="query 'p7' must be a finite number"):
        model.score([query(name="p7")])


def test_placeholders_in_facts_and_end_tokens_in_responses_are_refused(path):
    model = make(path)
    image = model.vlm.tokenizer.convert_ids_to_tokens(model.vlm.placeholder_token_ids[0])
    with pytest.raises(ModelError, match=r"stands for (a picture|image features)"):
        model.score([query(facts=(FACTS[0].model_copy(update={"texts": (image,)}),))])
    with pytest.raises(ModelError, match="end token"):
        model.score([query(responses=[f"Yes.{model.vlm.tokenizer.eos_token}"])])


def test_an_empty_response_that_was_cut_off_still_has_a_reward(path):
    model = make(path, TEMPLATES["end"])
    (found,) = model.score([query(responses=["", "Yes."], finished=(False, True))])
    assert bool(found.isfinite().all())


def test_a_query_without_responses_is_refused(path):
    with pytest.raises(ModelError, match="needs responses"):
        make(path).score([query(responses=())])
    with pytest.raises(ModelError, match="for all of them or none"):
        make(path).score([query(finished=(True,))])
