"""The joint stages: language model and projector on images with text; the tower is frozen.

All mix descriptions with true answers to questions, with words to be checked against the picture,
and with reading next to an image, half of the time not the image that the facts are about. The
second has a learning rate that rises again; in the third, most examples are reading, and what facts
say of a noun is asked directly; in the last, most are descriptions. These are captions of the noise
model (`descriptions.NoiseModel`) from the stage on that `PretrainRecipe.noise_from` names, and true
before.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.progress import track
from veridical.seeding import child_random
from veridical.world.base import image_token_id
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, caption_with_noise, describe
from veridical.world.pretraining.batches import Place, prepared
from veridical.world.pretraining.examples import (
    Example,
    ExampleBatch,
    agreeing_parts,
    collate_by_length,
    fault_word_labels,
)
from veridical.world.pretraining.reader import (
    CONFUSABLE,
    Lookups,
    ReaderTraining,
    language_loss,
    question_turns,
    reading_example,
)
from veridical.world.pretraining.tower import patch_features, pictures, pixel_values
from veridical.world.reading import sight_item
from veridical.world.scenes import Scene, sample_scenes

BATCH = 64
_SHOWN_SCENES_BATCH = 256
JointStage = Literal["joint", "refine", "lookup", "noise"]
_SHARES: dict[JointStage, tuple[float, float, float]] = {
    "joint": (0.4, 0.25, 0.2),
    "refine": (0.35, 0.2, 0.2),
    "lookup": (0.15, 0.12, 0.13),
    "noise": (0.6, 0.15, 0.1),
}
"""Shares of descriptions, of questions, and of words to be checked against the picture; the rest is
reading."""


class ImagePool:
    """Scenes and the features that the frozen tower gives for them, computed once."""

    def __init__(
        self, tower: nn.Module, *, seed: int, split: str, count: int, place: Place
    ) -> None:
        self.scenes: list[Scene] = list(sample_scenes(seed, split, count))
        starts = range(0, count, _SHOWN_SCENES_BATCH)
        drawn = prepared(partial(_pictures_from, self.scenes), starts, place)
        with torch.no_grad():
            parts = [
                patch_features(tower, pixel_values(shown)).to(torch.bfloat16)
                for shown in track(drawn, label="encode scenes", total=len(starts))
            ]
        self.features = torch.cat(parts)
        """(N P D)"""


def _pictures_from(scenes: Sequence[Scene], start: int) -> Tensor:
    return pictures(scenes[start : start + _SHOWN_SCENES_BATCH])


class JointBatch(NamedTuple):
    """A step's conversations."""

    batches: list[ExampleBatch]
    """Conversations of like length."""
    shown: list[Tensor]
    """For each batch the numbers of the scenes that are shown, in order."""


class JointExamples:
    """Makes a stage's batches; goes to other processes, and holds no model."""

    def __init__(
        self,
        scenes: Sequence[Scene],
        tokenizer: PreTrainedTokenizerFast,
        *,
        seed: int,
        stage: JointStage,
        noisy: bool,
        parts: int,
    ) -> None:
        """Remember what the batches are made from.

        Args:
            scenes: The scenes of the pool.
            tokenizer: The tokenizer.
            seed: Root seed.
            stage: Which stage.
            noisy: Descriptions are a machine captioner's, not true ones.
            parts: Batches that a step's examples are split into by length.
        """
        self._scenes = scenes
        self._numbers = {scene.id: number for number, scene in enumerate(scenes)}
        self._tokenizer = tokenizer
        self._seed = seed
        self._stage = stage
        self._noisy = noisy
        self._parts = parts

    def __call__(self, step: int) -> JointBatch:
        """Make the step's batch."""
        examples = [
            self._example(child_random(self._seed, self._stage, step, number))
            for number in range(BATCH)
        ]
        batches = collate_by_length(examples, self._tokenizer, parts=self._parts)
        shown = [
            torch.tensor(
                [self._numbers[scene.id] for scene in batch.scenes if scene is not None],
                dtype=torch.long,
            )
            for batch in batches
        ]
        return JointBatch([batch._replace(scenes=()) for batch in batches], shown)

    def _example(self, rng: random.Random) -> Example:
        scene = rng.choice(self._scenes)
        pick = rng.random()
        described, asked, checked = _SHARES[self._stage]
        lookups: Lookups | None = "compare" if self._stage in ("lookup", "noise") else None
        if pick < described:
            answer = caption_with_noise(scene, rng) if self._noisy else describe(scene, rng)
            return Example(((rng.choice(DESCRIPTION_QUESTIONS), answer),), scene=scene)
        if pick < described + asked:
            return Example(question_turns(scene, rng, head="", probes=0.4), scene=scene)
        if pick < described + asked + checked:
            # Questions alone hardly teach to find a word in the picture; a label on every word
            # does.
            item = sight_item(
                scene,
                rng,
                rate=rng.choice((0.0, 0.15, 0.3)),
                confusable=CONFUSABLE if lookups else 0.0,
            )
            labels, learned = fault_word_labels(item), agreeing_parts(item)
            return Example(
                ((item.prompt, item.answer),), scene=scene, labels=labels, learned=learned
            )
        # Reading continues, often next to an image; half of the time the facts are about another.
        facts_of = scene if rng.random() < 0.5 else rng.choice(self._scenes)
        example = reading_example(
            self._seed, rng.getrandbits(40), progress=1.0, scene=facts_of, lookups=lookups
        )
        return example._replace(scene=scene) if rng.random() < 0.6 else example


class JointTraining(nn.Module):
    """Language model, fault heads and projector; the tower stays outside, frozen."""

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        reader: ReaderTraining,
        *,
        features: Tensor,
    ) -> None:
        """Put the parts together.

        Args:
            model: The base model.
            tokenizer: Its tokenizer.
            reader: Its language model with the heads.
            features: Features of all scenes, (N P D).
        """
        super().__init__()
        self.reader = reader
        self.projector = model.model.multi_modal_projector
        self._image_token = image_token_id(tokenizer)
        self._features = features

    def loss_of_batch(self, batch: JointBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of a step's conversations."""
        embedded = [
            self._embed(part, shown) for part, shown in zip(batch.batches, batch.shown, strict=True)
        ]
        return language_loss(self.reader.language, self.reader.heads, embedded, batch.batches)

    def _embed(self, batch: ExampleBatch, shown: Tensor) -> Tensor:
        embedded: Tensor = self.reader.language.embed_tokens(batch.input_ids)
        if len(shown) == 0:
            return embedded
        projected = self.projector(self._features[shown].float())
        places = (batch.input_ids == self._image_token).unsqueeze(-1)
        return embedded.masked_scatter(places, projected.to(embedded.dtype))
