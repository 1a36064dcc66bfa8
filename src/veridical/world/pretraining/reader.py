"""Stage 2: the language model on text alone. Facts → description, facts → answers, facts + description → wrong words.

A curriculum makes matching words with facts learnable: one group first, then up to four; the facts in the text's own
sentences and order first, then in other sentences and as lists, at last shuffled.
"""

import random
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.seeding import child_random, child_seed
from veridical.world.base import WIDTH
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, describe
from veridical.world.pretraining.examples import (
    LABELLED_KINDS,
    Example,
    ExampleBatch,
    agreeing_parts,
    collate_by_length,
    fault_word_labels,
)
from veridical.world.reading import FactsForm, facts_text, reading_item
from veridical.world.scenes import Scene, sample_scene
from veridical.world.tasks import QUESTION_TYPES, QuestionType, ask

BATCH = 64
FAULT_LOSS_WEIGHT = 1.0
_ALWAYS_ASKABLE: tuple[QuestionType, ...] = ("attribute", "counting", "yes_no", "adversarial")
_READABLE: tuple[QuestionType, ...] = tuple(kind for kind in QUESTION_TYPES if kind != "holistic")


class ReaderTraining(nn.Module):
    """The language model with its auxiliary fault heads."""

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> None:
        super().__init__()
        self.language = model.model.language_model
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(child_seed(seed, "fault heads"))
            self.fault_heads = nn.Linear(WIDTH, len(LABELLED_KINDS))
        self._tokenizer = tokenizer
        self._seed = seed

    def loss_of_step(self, step: int, *, steps: int) -> tuple[Tensor, Mapping[str, float]]:
        """Loss of the step's batch; the share `step / steps` sets the curriculum."""
        progress = step / steps
        examples = [reading_example(self._seed, step * BATCH + number, progress=progress) for number in range(BATCH)]
        batches = collate_by_length(examples, self._tokenizer)
        embedded = [self.language.embed_tokens(batch.input_ids) for batch in batches]
        return language_loss(self.language, self.fault_heads, embedded, batches)


def language_loss(
    language: nn.Module, fault_heads: nn.Linear, embedded: Sequence[Tensor], batches: Sequence[ExampleBatch]
) -> tuple[Tensor, dict[str, float]]:
    """Mean loss over all answer tokens, plus the mean over all fault labels.

    Args:
        language: The language model; its embedding is tied to the output.
        fault_heads: Auxiliary heads, (D → 4).
        embedded: Input embeddings of each batch, (B T D).
        batches: Batches of examples of like length.
    """
    logits, targets, scores, labels = [], [], [], []
    for inputs, batch in zip(embedded, batches, strict=True):
        hidden = language(inputs_embeds=inputs).last_hidden_state
        predicts = batch.answer_mask[:, 1:]
        logits.append(F.linear(hidden[:, :-1][predicts], language.embed_tokens.weight))  # type: ignore[union-attr, arg-type]
        targets.append(batch.input_ids[:, 1:][predicts])
        asked = (batch.fault_labels >= 0).any(-1)
        scores.append(fault_heads(hidden[asked]))
        labels.append(batch.fault_labels[asked])
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    loss = F.cross_entropy(all_logits, all_targets)
    figures = {"answers": loss.item(), "right": (all_logits.argmax(-1) == all_targets).float().mean().item()}
    all_scores, all_labels = torch.cat(scores), torch.cat(labels)
    asked = all_labels >= 0
    if asked.any():
        fault_loss = F.binary_cross_entropy_with_logits(all_scores[asked], all_labels[asked].float())
        loss = loss + FAULT_LOSS_WEIGHT * fault_loss
        figures["faults"] = fault_loss.item()
        for index, kind in enumerate(LABELLED_KINDS):
            wrong, said = all_labels[:, index] == 1, (all_scores[:, index] > 0) & asked[:, index]
            figures[f"recall_{kind}"] = (said & wrong).sum().item() / max(1, int(wrong.sum()))
            figures[f"precision_{kind}"] = (said & wrong).sum().item() / max(1, int(said.sum()))
    return loss, figures


def reading_example(seed: int, number: int, *, progress: float, scene: Scene | None = None) -> Example:
    """Make a text-only example of a number.

    Args:
        seed: Root seed.
        number: Which example.
        progress: How far the curriculum is, 0–1.
        scene: The scene to write about; drawn from the number where it is None.
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
    # A constant offset between a word and its fact is found at once; the match by content grows out of it.
    mirrored = rng.random() < min(1.0, max(0.15, 1 - (progress - 0.4) / 0.3))
    form: FactsForm = "mirrored" if mirrored else rng.choices(("list", "caption"), (0.6, 0.4))[0]
    # Rare faults teach nothing at first: a head that never says "wrong" is right nine times in ten.
    rate = rng.choice((0.0, 0.3, 0.45) if progress < 0.5 else (0.0, 0.15, 0.3))
    item = reading_item(scene, rng, form=form, shuffle=shuffle, rate=rate)
    labels = fault_word_labels(item, mirrored=mirrored)
    return Example(((item.prompt, item.answer),), labels=labels, learned=agreeing_parts(item))


def question_turns(
    scene: Scene, rng: random.Random, *, head: str, count: int = 4, probes: float = 0.0
) -> tuple[tuple[str, str], ...]:
    """Several questions in one conversation.

    Args:
        scene: The scene asked about.
        rng: Source of chance.
        head: Facts, put before the first question; empty where an image is shown.
        count: How many questions.
        probes: Share of yes/no and multiple-choice questions, which are slowest to learn, beyond their even share.
    """
    turns: list[tuple[str, str]] = []
    while len(turns) < count:
        # A question between two groups needs two; yes/no and attributes can always be asked.
        kinds: tuple[QuestionType, ...] = (
            _READABLE if len(scene.groups) > 1 else ("attribute", "counting", "yes_no", "adversarial")
        )
        kind = rng.choice(("yes_no", "other")) if rng.random() < probes else rng.choice(kinds)
        question = ask(scene, kind, rng)
        # Facts say nothing of sizes.
        if question is not None and (not head or "small or large" not in question.text):
            turns.append((f"{head} {question.text}" if not turns and head else question.text, question.answer))
    return tuple(turns)


def _first_groups(scene: Scene, rng: random.Random, progress: float) -> Scene:
    most = 1 + int(progress / 0.1)
    if most >= len(scene.groups):
        return scene
    return scene.model_copy(update={"groups": scene.groups[: rng.randint(1, most)]})
