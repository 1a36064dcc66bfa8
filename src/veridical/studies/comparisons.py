"""Collect comparisons in the world: the model answers twice, simulated people choose.

LLaVA-RLHF (arXiv 2309.14525, section 2.2) collects 10k of them: two samples at temperature 0.7,
less hallucination first, then helpfulness. The facts of each scene lie next to them, as
complete and as right as asked for.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from veridical.errors import ConfigError
from veridical.files import write_json_atomically
from veridical.models.generation import GeneratedText, generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.progress import log
from veridical.records import Comparison, Prompt, Response, write_records
from veridical.records.folders import COMPARISONS_FILE, PROMPTS_FILE, RESPONSES_FILE
from veridical.seeding import child_seed
from veridical.studies.world_prompts import QuestionMix, ask_scene, write_facts
from veridical.training.reward.held_out import KINDS_FILE
from veridical.world.answers import judge_answer
from veridical.world.judge import judge_description
from veridical.world.known_facts import COMPLETE, FactsModel
from veridical.world.people.judging import compare
from veridical.world.people.person import PersonModel
from veridical.world.scenes import IMAGE_PIXELS, Scene, render, sample_scene
from veridical.world.tasks import Question

_SCENES_AT_ONCE = 64
_MAX_NEW_TOKENS = 96
_FRUITLESS = 20
"""Rounds of scenes without a single comparison after which collecting is given up."""


class CollectedComparisons(NamedTuple):
    """What a collection left."""

    folder: Path
    """Folder of the files of records: what reward training reads."""
    comparisons: list[Comparison]
    """The comparisons, in the order of the scenes."""
    scenes: dict[str, Scene]
    """Scenes by prompt id."""
    shown: int
    """Pairs of responses that were drawn; the others said the same, or were not asked for."""


class _Kept(NamedTuple):
    scene: Scene
    prompt: Prompt
    responses: tuple[Response, Response]
    comparison: Comparison
    kinds: list[str]


def collect_comparisons(
    vlm: VisionLanguageModel,
    out: Path,
    *,
    count: int,
    split: str,
    seed: int,
    temperature: float,
    person: PersonModel,
    facts: FactsModel = COMPLETE,
    questions: QuestionMix | None = None,
    pairs: Literal["any", "differing_faults"] = "any",
    pixels: int = IMAGE_PIXELS,
) -> CollectedComparisons:
    """Sample two responses to each of so many prompts and have them compared.

    Args:
        vlm: The model whose responses are compared.
        out: Folder for `images/`, prompts, responses, comparisons, facts, scenes and `kinds.json`
            (kinds of hallucination that one response has more of).
        count: How many comparisons.
        split: Which scenes; must not be those of an evaluation.
        seed: Root seed.
        temperature: Sampling temperature of the responses.
        person: Who compares.
        facts: What is known of the scenes.
        questions: Shares of yes/no and other questions; the rest are descriptions.
        pairs: "differing_faults" keeps pairs that differ in their number of faults only, which have
            a right answer.
        pixels: Resolution of the pictures.

    Raises:
        ConfigError: The shares are none, or the model's two responses never differ.
    """
    mix = questions or QuestionMix()
    mix.check()
    kept: list[_Kept] = []
    shown = start = fruitless = 0
    while len(kept) < count:
        numbers = range(start, start + _SCENES_AT_ONCE)
        scenes = [sample_scene(seed, split, number, pixels=pixels) for number in numbers]
        asked = [ask_scene(scene, mix, seed=seed, images=out / "images") for scene in scenes]
        answers = generate_responses(
            vlm,
            [one.prompt.question for one in asked],
            [render(one.scene) for one in asked],
            num_samples=2,
            temperature=temperature,
            max_new_tokens=_MAX_NEW_TOKENS,
            seed=child_seed(seed, "compare", start),
            batch_size=64,
        )
        before = len(kept)
        for (scene, prompt, question), (one, two) in zip(asked, answers, strict=True):
            if len(kept) == count:
                break
            shown += 1
            if one.text.strip() == two.text.strip() or not (one.text.strip() and two.text.strip()):
                continue
            first, second = (_faults(scene, question, answer.text) for answer in (one, two))
            if pairs == "differing_faults" and first.total() == second.total():
                continue
            both = (
                _response(vlm, prompt, one, 0, temperature),
                _response(vlm, prompt, two, 1, temperature),
            )
            judged = compare(scene, prompt, *both, person, seed=seed, question=question)
            kinds = sorted(kind for kind in first | second if first[kind] != second[kind])
            kept.append(_Kept(scene, prompt, both, judged, kinds))
        fruitless = fruitless + 1 if len(kept) == before else 0
        if fruitless == _FRUITLESS:
            raise ConfigError(
                f"{fruitless * _SCENES_AT_ONCE} scenes in a row gave no two responses to compare;"
                f" {len(kept)} of "
                f'{count} were found. Raise the temperature, or set pairs = "any".'
            )
        start += _SCENES_AT_ONCE
        log(f"{len(kept)} of {count} comparisons, {shown} pairs of responses drawn")
    _write(out, kept, facts, seed=seed)
    scenes_by_prompt = {row.prompt.id: row.scene for row in kept}
    return CollectedComparisons(out, [row.comparison for row in kept], scenes_by_prompt, shown)


def _faults(scene: Scene, question: Question | None, text: str) -> Counter[str]:
    """Count the faults of a response by kind."""
    if question is None:
        return Counter(fault.kind for fault in judge_description(scene, text).faults)
    verdict = judge_answer(scene, question, text)
    faults = Counter[str](fault.kind for fault in verdict.faults)
    if verdict.outcome == "wrong":
        faults["answer"] += 1
    return faults


def _response(
    vlm: VisionLanguageModel, prompt: Prompt, said: GeneratedText, sample: int, temperature: float
) -> Response:
    return Response(
        id=f"{prompt.id}#{sample}",
        prompt_id=prompt.id,
        text=said.text,
        model=Path(vlm.name).name,
        sample=sample,
        temperature=temperature,
        finish=said.finish,
    )


def _write(out: Path, kept: Sequence[_Kept], facts: FactsModel, *, seed: int) -> None:
    write_records(out / PROMPTS_FILE, [row.prompt for row in kept], kind="Prompt")
    write_records(
        out / RESPONSES_FILE,
        [response for row in kept for response in row.responses],
        kind="Response",
    )
    write_records(out / COMPARISONS_FILE, [row.comparison for row in kept], kind="Comparison")
    write_records(out / "scenes.jsonl", [row.scene for row in kept], kind="Scene")
    write_facts(out, (row.scene for row in kept), facts, seed=seed)
    write_json_atomically(out / KINDS_FILE, {row.comparison.id: row.kinds for row in kept})
