"""What a reward model can know of a scene: from imperfect facts, and from the picture alone.

For the picture, a linear probe reads each held-out scene back from the features of the frozen
vision tower, which is all that the language model sees of it; the exact judge compares the two
responses against that scene. What it gets wrong the features do not hold; what a reward model gets
wrong beyond that, it failed to read.
"""

from pathlib import Path

from veridical.feedback.comparisons import read_compared_pairs
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.records import Metric, read_records
from veridical.report.fact_rlhf_inputs import Dependence
from veridical.rewards.model import RewardModel
from veridical.rewards.queries import RewardQuery
from veridical.statistics import wilson
from veridical.world.answers import description_quality
from veridical.world.judge import judge_description
from veridical.world.known_facts import FactsModel, known_facts
from veridical.world.probe import fit_scene_probe
from veridical.world.scenes import Scene, sample_scenes

IMAGE_ALONE = (
    "An exact judge who knows of each scene only what a linear probe reads from the frozen tower's"
    " features, on the descriptions among the held-out comparisons: what a reward model without"
    " facts misses beyond it stands in the picture and is not read."
)


_SHARES = (0.0, 0.25, 0.5, 1.0)


_PROBE_SCENES = 3000


def facts_dependence(
    reward_model: Path, held_out: Path, *, seed: int, comparisons: int
) -> tuple[Dependence, ...]:
    """How accurate a reward model is with facts that are less complete, or more often wrong.

    Args:
        reward_model: Folder of a reward model that reads facts.
        held_out: Folder of comparisons, with `scenes.jsonl`.
        seed: Seed of what is left out or wrong.
        comparisons: How many of them, from the first.
    """
    scenes = {scene.id: scene for scene in read_records(held_out / "scenes.jsonl", Scene)}
    pairs = [
        pair
        for pair in read_compared_pairs(held_out, images=False)
        if pair.comparison.preferred != "tie"
    ]
    model = RewardModel.load(reward_model)
    features = FeatureCache(None, model.vlm)

    def accuracy(facts: FactsModel) -> Metric:
        queries = []
        for pair in pairs[:comparisons]:
            known = known_facts(scenes[pair.prompt.known_image], facts, seed=seed)
            responses = (pair.first.text, pair.second.text)
            shown = () if known is None else (known,)
            queries.append(RewardQuery(pair.prompt.question, pair.prompt.image, responses, shown))
        scored = model.score(queries, batch_size=64, features=features)
        right = [
            bool(one[0] > one[1]) == (pair.comparison.preferred == "first")
            for one, pair in zip(scored, pairs, strict=False)
        ]
        return wilson(sum(right), len(right))

    return (
        Dependence(
            name="share of the statements that are left out",
            points=tuple((share, accuracy(FactsModel(missing=share))) for share in _SHARES),
        ),
        Dependence(
            name="share of the statements that are wrong",
            points=tuple((share, accuracy(FactsModel(wrong=share))) for share in _SHARES),
        ),
    )


def accuracy_of_the_image(
    vlm: VisionLanguageModel, held_out: Path, *, seed: int, pixels: int
) -> Metric:
    """Share of the held-out comparisons of descriptions that the picture's features decide rightly.

    Args:
        vlm: The base model, whose tower sees.
        held_out: Folder of comparisons, with `scenes.jsonl`.
        seed: Root seed of the scenes that the probe is fitted on.
        pixels: Resolution of their pictures.
    """
    probe = fit_scene_probe(vlm, list(sample_scenes(seed, "probe", _PROBE_SCENES, pixels=pixels)))
    pairs = [
        pair
        for pair in read_compared_pairs(held_out, images=False)
        if pair.comparison.preferred != "tie" and pair.prompt.task == "description"
    ]
    if not pairs:
        return wilson(0, 0)
    scenes = {scene.id: scene for scene in read_records(held_out / "scenes.jsonl", Scene)}
    seen = probe.read([scenes[pair.prompt.known_image] for pair in pairs])
    right = 0
    for pair, scene in zip(pairs, seen, strict=True):
        first, second = (
            description_quality(
                judge_description(scene, one.text), n_objects=len(scene.groups)
            ).order
            for one in (pair.first, pair.second)
        )
        right += first != second and (first > second) == (pair.comparison.preferred == "first")
    return wilson(right, len(pairs))
