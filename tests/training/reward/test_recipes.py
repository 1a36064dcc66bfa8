"""Every shipped recipe of a reward model is loaded and taken for two steps on a miniature."""

import pytest

from comparison_files import write_comparisons
from shipped_recipes import check_head, recipes_of, with_settings
from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.rewards.model import RewardModel
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model

RECIPES = recipes_of("reward")
LEAST = {"model": {"base": "somewhere"}, "data": {"comparisons": "comparisons"}}


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "reward-llava-1.5-7b-24gb",
        "reward-llava-1.5-7b-80gb",
        "reward-llava-rlhf",
        "reward-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    check_head(path, "reward")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, tmp_path):
    mine = {
        "model.base": tiny_llava_path,
        "data.comparisons": write_comparisons(tmp_path / "data", count=9),
        "data.validation_fraction": 0.3,
        "train.max_steps": 2,
    }
    recipe = with_settings(path, RewardRecipe, mine)
    if "llava-rlhf" in path.stem:
        # 13B reads longer prompts than the miniature's 512 tokens; the published layout still has
        # to fit here
        assert recipe.data.max_tokens == 2048
    result = train_reward_model(recipe, tmp_path / "run")
    assert RewardModel.load(result.weights, device="cpu").template == recipe.template


def test_llava_rlhf_says_what_the_original_says():
    recipe = load_recipe(
        next(path for path in RECIPES if path.stem == "reward-llava-rlhf"), RewardRecipe
    )
    lora, train, objective = recipe.model.lora, recipe.train, recipe.objective
    assert (lora.rank, lora.alpha, lora.dropout) == (64, 16, 0.0)
    assert (train.learning_rate, train.batch_size, train.micro_batch_size, train.epochs) == (
        2e-5,
        32,
        4,
        1,
    )
    assert (train.warmup_ratio, train.schedule, train.max_grad_norm) == (0.03, "constant", 0.3)
    assert (
        train.weight_decay,
        train.evaluation_steps,
        train.bf16,
        train.gradient_checkpointing,
    ) == (
        0.0,
        50,
        True,
        True,
    )
    assert (objective.centring, objective.centring_weight, objective.hallucination_weight) == (
        "batch_mean",
        1e-3,
        1.0,
    )
    assert (recipe.template.facts_position, objective.pooling, recipe.facts.kinds) == (
        "after",
        "last",
        ("caption",),
    )
    assert len(recipe.template.dimensions) == 4
    assert "{facts}" in recipe.template.dimensions[0].meaning


def test_defaults_are_the_originals_where_it_has_one():
    defaults = resolve_recipe(LEAST, RewardRecipe)
    named = resolve_recipe(LEAST, RewardRecipe, overrides=["template.name=llava-rlhf"])
    assert named.template.facts_position == "after"
    assert (
        defaults.train.learning_rate,
        defaults.train.batch_size,
        defaults.train.max_grad_norm,
    ) == (2e-5, 32, 0.3)


@pytest.mark.parametrize("name", ["veridical", "llava-rlhf", "world", "world-quote"])
def test_the_written_recipe_reads_back_equal(name, tmp_path):
    recipe = resolve_recipe(
        LEAST, RewardRecipe, overrides=[f"template.name={name}", "template.facts_position=before"]
    )
    assert load_recipe(write_recipe(recipe, tmp_path / "recipe.toml"), RewardRecipe) == recipe


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.learning_rat=1", "Did you mean `learning_rate`"),
        ("template.facts_positon='none'", "Did you mean `facts_position`"),
        ("template.before='{facts}'", "must hold {question}"),
        ("template.before='{question} {fact}'", "no slot {fact}"),
        ("template.before='{question}'", "`before` must hold {facts}"),
        ("template.name=world-quote", "pooling"),
        ("facts.kinds=[]", "names no kind"),
        ("facts.missing=ignore", "`facts.missing`"),
        ("data.ties=lose", "`data.ties`"),
    ],
)
def test_faults_say_where_and_what_to_do(override, said):
    extra = ["template.facts_position=after", "objective.pooling=sum"] if said == "pooling" else []
    with pytest.raises(ConfigError) as caught:
        resolve_recipe(LEAST, RewardRecipe, overrides=[override, *extra])
    assert said in str(caught.value)
