"""The world's exact judge as a `Judge`: it knows the scene, and rates as MMHal-Bench does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.metrics import judge_answer_row
from veridical.errors import ConfigError
from veridical.files import write_json_atomically
from veridical.judges.protocol import Case, Review, Template
from veridical.records import Response


class WorldJudge:
    """The exact judge of the embedded world.

    Args:
        items: The items that may be judged; their prompts' ids are the cases' ids.
    """

    def __init__(self, items: Sequence[WorldItem]) -> None:
        self._items: Mapping[str, WorldItem] = {item.prompt.id: item for item in items}

    @property
    def name(self) -> str:
        """Its name in scores."""
        return "world-exact"

    def review(self, cases: Sequence[Case], template: Template) -> list[Review]:
        """Rate each response against its scene; it needs no prompt."""
        del template
        return [self._review(case) for case in cases]

    def _review(self, case: Case) -> Review:
        item = self._items.get(case.id)
        if item is None or item.question is None:
            return Review(case.id, None, "no question of the world has this id", self.name)
        row = judge_answer_row(item.scene, item.question, case.fields["response"], id=case.id)
        found = (
            "says something that is not so" if row.hallucinates else "says nothing that is not so"
        )
        return Review(
            case.id,
            f"The response {found}; outcome: {row.outcome}.\nRating: {row.rating}",
            "",
            self.name,
        )


def write_mmhal_responses(
    path: Path, items: Sequence[WorldItem], responses: Sequence[Response]
) -> Path:
    """Write the world's questions with their answers in MMHal-Bench's format, for any judge.

    Args:
        path: The file to write.
        items: Questions of the world; descriptions without a question are left out.
        responses: At least one answer per question, by prompt.

    Raises:
        ConfigError: A question has no answer.
    """
    texts = {response.prompt_id: response.text for response in responses}
    asked = [item for item in items if item.question is not None and item.prompt.task == "mmhal"]
    silent = [item.prompt.id for item in asked if item.prompt.id not in texts]
    if silent:
        raise ConfigError(
            f"{len(silent)} questions have no answer, the first is {silent[0]!r}. Answer them"
            " first."
        )
    return write_json_atomically(path, [_row(item, texts[item.prompt.id]) for item in asked])


def _row(item: WorldItem, answer: str) -> dict[str, object]:
    question = item.question
    return {
        "id": item.prompt.id,
        "question_type": "" if question is None else question.type,
        "question_topic": item.scene.context,
        "image_id": item.scene.id,
        "image_content": list(item.scene.nouns),
        "question": item.prompt.question,
        "gt_answer": "" if question is None else question.answer,
        "model_answer": answer,
    }
