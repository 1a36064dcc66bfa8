"""The language model on text alone: descriptions and answers from facts, and finding faults.

Stage `reader`: a curriculum makes matching words with facts learnable: one group first, then up to
four; the facts in the text's own sentences and order first, then in other sentences and as lists,
at last shuffled. Nouns are matched at its end, and numbers, which their plural shows; of colours
and places only those are found wrong that stand nowhere in the facts.

Stages `find` and `compare`, once the model has learnt to answer questions: auxiliary heads ask what
the facts say of each noun, first of the last states, then of those one layer below, so that a layer
is left to compare it with what the description says; and wrong values are then mostly ones that the
facts state of something else.
"""

import random
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from veridical.seeding import child_random, child_seed
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, describe
from veridical.world.pretraining.examples import (
    ATTRIBUTE_VALUES,
    LABELLED_KINDS,
    Example,
    ExampleBatch,
    agreeing_parts,
    fact_word_labels,
    fault_word_labels,
)
from veridical.world.reading import FactsForm, facts_text, reading_item
from veridical.world.scenes import Scene, sample_scene
from veridical.world.tasks import QUESTION_TYPES, QuestionType, ask

BATCH = 64
Lookups = Literal["find", "compare"]
"""How looking up is learnt: from the last states, wrong values evenly drawn; or from those one
layer below, wrong values mostly ones that the facts state of something else."""
_NEW_SCENES_FROM = 1_000_000
"""Step number from which the later stages draw their scenes, so that they are new."""
CONFUSABLE = 0.7
"""Share of wrong values that the facts state of something else, once what was found is to be
compared."""
_READABLE: tuple[QuestionType, ...] = tuple(kind for kind in QUESTION_TYPES if kind != "holistic")


class ReadingHeads(nn.Module):
    """Auxiliary heads on words of a description: is it wrong, what do the facts say of it?"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.faults = nn.Linear(width, len(LABELLED_KINDS))
        self.facts = nn.Sequential(
            nn.RMSNorm(width), nn.Linear(width, sum(map(len, ATTRIBUTE_VALUES.values())))
        )


class ReaderTraining(nn.Module):
    """The language model with its auxiliary heads."""

    def __init__(self, model: LlavaForConditionalGeneration, *, seed: int) -> None:
        super().__init__()
        self.language = model.model.language_model
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(child_seed(seed, "fault heads"))
            self.heads = ReadingHeads(self.language.config.hidden_size)

    def loss_of_batches(
        self, batches: Sequence[ExampleBatch], *, lookups: Lookups = "compare"
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a step's examples, in batches of like length."""
        embedded = [self.language.embed_tokens(batch.input_ids) for batch in batches]
        return language_loss(self.language, self.heads, embedded, batches, lookups=lookups)


def reader_examples(step: int, *, seed: int, steps: int) -> list[Example]:
    """The step's examples in stage `reader`; `step / steps` sets the curriculum."""
    numbers = range(step * BATCH, (step + 1) * BATCH)
    return [reading_example(seed, number, progress=step / steps) for number in numbers]


def lookup_examples(step: int, *, seed: int, lookups: Lookups) -> list[Example]:
    """The step's examples in stage `find` or `compare`."""
    numbers = range((step + _NEW_SCENES_FROM) * BATCH, (step + _NEW_SCENES_FROM + 1) * BATCH)
    return [reading_example(seed, number, progress=1.0, lookups=lookups) for number in numbers]


def language_loss(
    language: nn.Module,
    heads: ReadingHeads,
    embedded: Sequence[Tensor],
    batches: Sequence[ExampleBatch],
    *,
    lookups: Lookups = "compare",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean loss over answer tokens, plus the means over fault labels and over fact labels.

    Args:
        language: The language model; its embedding is tied to the output.
        heads: Auxiliary heads.
        embedded: Input embeddings of each batch, (B T D).
        batches: Batches of examples of like length.
        lookups: Which states are asked what the facts say: the last ones, or those one layer below.
    """
    layer = -2 if lookups == "compare" else -1
    logits, targets, judged, faults, looked, facts = [], [], [], [], [], []
    for inputs, batch in zip(embedded, batches, strict=True):
        read = language(inputs_embeds=inputs, output_hidden_states=True)
        hidden, looking = read.last_hidden_state, read.hidden_states[layer]
        predicts = batch.answer_mask[:, 1:]
        logits.append(F.linear(hidden[:, :-1][predicts], language.embed_tokens.weight))  # type: ignore[union-attr, arg-type]
        targets.append(batch.input_ids[:, 1:][predicts])
        asked = (batch.fault_labels >= 0).any(-1)
        judged.append(hidden[asked])
        faults.append(batch.fault_labels[asked])
        asked = (batch.fact_labels >= 0).any(-1)
        looked.append(looking[asked])
        facts.append(batch.fact_labels[asked])
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    loss = F.cross_entropy(all_logits, all_targets)
    figures = {
        "answers": loss.detach(),
        "right": (all_logits.argmax(-1) == all_targets).float().mean(),
    }
    for part, more in (
        _fault_loss(heads.faults, torch.cat(judged), torch.cat(faults)),
        _fact_loss(heads.facts, torch.cat(looked), torch.cat(facts)),
    ):
        loss = loss + part
        figures |= more
    return loss, figures


def _fault_loss(
    head: nn.Linear, hidden: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Which words are wrong: hidden states (N D), labels (N 4)."""
    asked = labels >= 0
    if not asked.any():
        return hidden.new_zeros(()), {}
    scores = head(hidden)
    loss = F.binary_cross_entropy_with_logits(scores[asked], labels[asked].float())
    figures = {"faults": loss.detach()}
    for index, kind in enumerate(LABELLED_KINDS):
        wrong, said = labels[:, index] == 1, (scores[:, index] > 0) & asked[:, index]
        found = (said & wrong).sum()
        figures[f"recall_{kind}"] = found / wrong.sum().clamp(min=1)
        figures[f"precision_{kind}"] = found / said.sum().clamp(min=1)
    return loss, figures


def _fact_loss(head: nn.Module, hidden: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """What the facts say of a noun: hidden states (N D), labels (N 3)."""
    loss = hidden.new_zeros(())
    figures: dict[str, Tensor] = {}
    if len(labels) == 0:
        return loss, figures
    parts = torch.split(head(hidden), [len(values) for values in ATTRIBUTE_VALUES.values()], dim=-1)
    for attribute, part, label in zip(ATTRIBUTE_VALUES, parts, labels.unbind(-1), strict=True):
        asked = label >= 0
        if asked.any():
            loss = loss + F.cross_entropy(part[asked], label[asked])
            figures[f"found_{attribute}"] = (part[asked].argmax(-1) == label[asked]).float().mean()
    return loss / len(ATTRIBUTE_VALUES), figures


def reading_example(
    seed: int,
    number: int,
    *,
    progress: float,
    scene: Scene | None = None,
    lookups: Lookups | None = None,
) -> Example:
    """Make a text-only example of a number.

    Args:
        seed: Root seed.
        number: Which example.
        progress: How far the curriculum is, 0–1.
        scene: The scene to write about; drawn from the number where it is None.
        lookups: Ask what the facts say of nouns, and how; None: do not.
    """
    rng = child_random(seed, "reading", number)
    if scene is None:
        scene = sample_scene(seed, "pretrain-reader", number)
    scene = _first_groups(scene, rng, 2 * progress)
    shuffle = rng.random() < (progress - 0.5) / 0.3
    pick = rng.random()
    if pick < 0.15:
        facts = facts_text(scene, rng, shuffle=False, as_caption=rng.random() < 0.5)
        return Example(((f"{facts} {rng.choice(DESCRIPTION_QUESTIONS)}", describe(scene, rng)),))
    if pick < 0.4:
        facts = facts_text(scene, rng, shuffle=shuffle, as_caption=rng.random() < 0.3)
        return Example(question_turns(scene, rng, head=facts))
    # A constant offset between a word and its fact is found at once; the match by content grows out
    # of it.
    mirrored = rng.random() < min(1.0, max(0.15, 1 - (progress - 0.4) / 0.3))
    form: FactsForm = "mirrored" if mirrored else rng.choices(("list", "caption"), (0.6, 0.4))[0]
    # Rare faults teach nothing at first: a head that never says "wrong" is right nine times in ten.
    rate = rng.choice((0.0, 0.3, 0.45) if progress < 0.5 else (0.0, 0.15, 0.3))
    item = reading_item(
        scene,
        rng,
        form=form,
        shuffle=shuffle,
        rate=rate,
        confusable=CONFUSABLE if lookups == "compare" else 0.0,
    )
    return Example(
        ((item.prompt, item.answer),),
        labels=fault_word_labels(item, mirrored=mirrored),
        looked_up=fact_word_labels(item) if lookups else (),
        learned=agreeing_parts(item),
    )


def question_turns(
    scene: Scene, rng: random.Random, *, head: str, count: int = 4, probes: float = 0.0
) -> tuple[tuple[str, str], ...]:
    """Several questions in one conversation.

    Args:
        scene: The scene asked about.
        rng: Source of chance.
        head: Facts, put before the first question; empty where an image is shown.
        count: How many questions.
        probes: Share of yes/no and multiple-choice questions, which are slowest to learn, beyond
            their even share.
    """
    turns: list[tuple[str, str]] = []
    while len(turns) < count:
        # A question between two groups needs two; yes/no and attributes can always be asked.
        kinds: tuple[QuestionType, ...] = (
            _READABLE
            if len(scene.groups) > 1
            else ("attribute", "counting", "yes_no", "adversarial")
        )
        kind = rng.choice(("yes_no", "other")) if rng.random() < probes else rng.choice(kinds)
        question = ask(scene, kind, rng)
        # Facts say nothing of sizes.
        if question is not None and (not head or "small or large" not in question.text):
            turns.append(
                (
                    f"{head} {question.text}" if not turns and head else question.text,
                    question.answer,
                )
            )
    return tuple(turns)


def _first_groups(scene: Scene, rng: random.Random, progress: float) -> Scene:
    most = 1 + int(progress / 0.1)
    if most >= len(scene.groups):
        return scene
    return scene.with_groups(scene.groups[: rng.randint(1, most)])
