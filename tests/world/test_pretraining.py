"""The base model's training: what is learnt, that it resumes exactly, and what comes out."""

import json
import random

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from veridical.errors import ConfigError
from veridical.models.generation import generate_responses
from veridical.models.loading import load_model
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses
from veridical.seeding import child_random
from veridical.world.base import IMAGE_TOKENS, base_model_path, build_model, build_processor
from veridical.world.descriptions import describe
from veridical.world.inventory import COLOURS, OBJECTS
from veridical.world.judge import judge_description
from veridical.world.pretraining.examples import (
    ATTRIBUTE_VALUES,
    LABELLED_KINDS,
    Example,
    agreeing_parts,
    collate,
    fact_word_labels,
    fault_word_labels,
)
from veridical.world.pretraining.loop import StageSettings, run_stage
from veridical.world.pretraining.reader import ReaderTraining, reading_example
from veridical.world.pretraining.recipe import PretrainRecipe
from veridical.world.pretraining.run import LOG, STAGES, pretrain
from veridical.world.pretraining.tower import cell_labels, pixel_tensor
from veridical.world.reading import SIGHT_QUESTION, facts_text, reading_item, sight_item
from veridical.world.scenes import render, sample_scene, sample_scenes


def test_every_word_of_the_world_is_one_token_and_any_text_survives(tokenizer):
    words = [word for item in OBJECTS for word in (item.noun, item.plural)] + list(COLOURS)
    assert [word for word in words if len(tokenizer(f" {word}").input_ids) != 1] == []
    text = "naïve 𝔘 日本\r\n\tend"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_descriptions_have_the_length_that_was_asked_for(tokenizer):
    rng = random.Random(0)
    lengths = [
        len(tokenizer(" " + describe(scene, rng)).input_ids)
        for scene in sample_scenes(0, "test", 300)
    ]
    assert min(lengths) >= 22
    assert max(lengths) <= 45


def test_only_answers_are_learned_and_the_image_takes_its_tokens(tokenizer):
    scene = sample_scene(0, "test", 0)
    batch = collate(
        [Example((("What is this?", "A park."), ("Sure?", "Yes.")), scene=scene)], tokenizer
    )
    image_token = tokenizer.get_vocab()["<image>"]
    assert int((batch.input_ids == image_token).sum()) == IMAGE_TOKENS
    assert tokenizer.decode(batch.input_ids[0][batch.answer_mask[0]]) == " A park.</s> Yes.</s>"


def test_fault_labels_stand_on_the_wrong_words():
    found = dict.fromkeys(LABELLED_KINDS, 0)
    for number in range(200):
        item = reading_item(
            sample_scene(0, "reading", number),
            random.Random(number),
            form="list",
            shuffle=True,
            rate=0.3,
        )
        wrong = [(at, kind) for at, kind, is_wrong in fault_word_labels(item) if is_wrong]
        for fault in item.verdict.faults:
            found[fault.kind] += 1
            # Once at the word where it can first be known, once at the full stop.
            assert sum(kind == fault.kind for _, kind in wrong) >= 2
            stop = item.description_start + fault.claim.sentence[1] - 1
            assert (stop, fault.kind) in wrong
            assert item.prompt[stop] == "."
        if not item.verdict.faults:
            assert wrong == []
            assert item.answer == "Yes."
        told = "".join(item.prompt[a:b] for a, b in agreeing_parts(item))
        wrong_words = [item.description[slice(*fault.span)] for fault in item.verdict.faults]
        assert len(told) == len(item.description) - sum(map(len, wrong_words))
    assert min(found.values()) > 20


def test_every_noun_that_the_facts_know_is_asked_for_what_they_say_of_it(tokenizer):
    said_otherwise = 0
    for number in range(60):
        item = reading_item(
            sample_scene(0, "reading", number),
            random.Random(number),
            form="list",
            shuffle=True,
            rate=0.3,
        )
        labels = fact_word_labels(item)
        batch = collate([Example(((item.prompt, item.answer),), looked_up=labels)], tokenizer)
        tokens = tokenizer.convert_ids_to_tokens(batch.input_ids[0].tolist())
        known = [
            claim
            for claim in item.verdict.claims.groups
            if item.scene.group_of(claim.noun) is not None
        ]
        places = (batch.fact_labels[0] >= 0).any(-1).nonzero().flatten().tolist()
        # Twice each: at the noun and at the full stop of its sentence.
        assert len(labels) == 3 * 2 * len(known)
        assert len(places) == 2 * len(known)
        for at, stop, claim in zip(places[::2], places[1::2], known, strict=True):
            group = item.scene.group_of(claim.noun)
            assert tokens[at].strip("Ġ") == item.description[slice(*claim.noun_span)]
            assert tokens[stop] == "."
            for column, (attribute, values) in enumerate(ATTRIBUTE_VALUES.items()):
                truth = getattr(group, attribute)
                assert [values[batch.fact_labels[0, place, column]] for place in (at, stop)] == [
                    truth,
                    truth,
                ]
                said = getattr(claim, attribute)
                said_otherwise += said is not None and said.value != truth
    assert said_otherwise > 20  # it is the facts that are asked for, not what the description says


def test_most_wrong_values_are_ones_that_the_facts_state_of_something_else():
    confusable = alien = 0
    for number in range(400):
        item = reading_item(
            sample_scene(0, "confusable", number),
            random.Random(number),
            form="list",
            shuffle=True,
            rate=0.3,
            confusable=0.7,
        )
        stated = {group.noun: group.colour for group in item.scene.groups}
        for fault in item.verdict.faults:
            others = {colour for noun, colour in stated.items() if noun != fault.claim.noun} - {
                fault.truth
            }
            if fault.kind == "colour" and others:
                confusable += fault.said in others
                alien += fault.said not in others
    # 0.7 of them on purpose, and a part of the others by chance.
    assert 0.65 < confusable / (confusable + alien) < 0.9
    assert alien > 10


def test_mirrored_facts_are_the_description_before_its_words_were_changed():
    asked_early = 0
    for number in range(100):
        scene = sample_scene(0, "mirrored", number)
        true = reading_item(scene, random.Random(number), form="mirrored", shuffle=False, rate=0.0)
        assert true.prompt.startswith(f"Facts: {true.description} Description: {true.description} ")
        item = reading_item(scene, random.Random(number), form="mirrored", shuffle=False, rate=0.5)
        assert item.prompt.startswith(f"Facts: {true.description} Description: {item.description} ")
        labels = fault_word_labels(item, mirrored=True)
        assert set(fault_word_labels(item)) <= set(labels)
        for fault in item.verdict.faults:
            if fault.kind in (
                "number",
                "colour",
            ):  # known before the noun, since the facts stand in the same order
                assert (item.description_start + fault.span[1] - 1, fault.kind, True) in labels
                asked_early += 1
    assert asked_early > 50


def test_words_to_be_checked_against_the_picture_are_beside_no_facts():
    faults = 0
    for number in range(100):
        scene = sample_scene(0, "sight", number)
        item = sight_item(scene, random.Random(number), rate=0.3)
        assert item.prompt == f"Description: {item.description} {SIGHT_QUESTION}"
        assert item.prompt[item.description_start :].startswith(item.description)
        assert item.verdict == judge_description(scene, item.description)
        faults += len(item.verdict.faults)
    assert faults > 50


def test_facts_say_everything_that_a_description_may_claim():
    for number in range(50):
        scene = sample_scene(0, "facts", number)
        text = facts_text(scene, random.Random(0), shuffle=True)
        assert scene.context in text
        assert all(group.phrase in text for group in scene.groups)


def test_cell_labels_find_every_group():
    scene = sample_scene(0, "cells", 3)
    labels = cell_labels([scene])
    assert int((labels["colour"] >= 0).sum()) == len(scene.groups)
    group = scene.groups[0]
    assert COLOURS[labels["colour"][0, group.row * 3 + group.column]] == group.colour


def test_pixels_equal_what_the_processor_gives(tokenizer):
    scene = sample_scene(0, "pixels", 0)

    processor = build_processor(tokenizer)
    made = processor.image_processor(images=[render(scene)], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixel_tensor([scene]), made, atol=1e-6, rtol=0)
    squeezed = processor.image_processor(images=[Image.new("RGB", (333, 57))], return_tensors="pt")[
        "pixel_values"
    ]
    assert squeezed.shape == made.shape


def test_a_stage_that_was_stopped_goes_on_to_the_same_weights(tokenizer, tmp_path):
    def training() -> ReaderTraining:
        return ReaderTraining(build_model(tokenizer, seed=1), seed=1)

    def step_loss(module):
        def loss(step):
            examples = [reading_example(1, step * 4 + number, progress=0.5) for number in range(4)]
            batch = collate(examples, tokenizer)

            return module.loss_of_batches([batch])

        return lambda steps: map(loss, steps)

    settings = StageSettings(steps=6, learning_rate=1e-3, warmup=2, checkpoint_every=2, log_every=1)
    whole = training()
    run_stage("reader", whole, step_loss(whole), settings=settings, folder=tmp_path / "whole")

    class StoppedError(Exception):
        pass

    first = training()

    def stops(steps):
        for step, loss in zip(steps, step_loss(first)(steps), strict=True):
            if step == 5:
                raise StoppedError
            yield loss

    with pytest.raises(StoppedError):
        run_stage("reader", first, stops, settings=settings, folder=tmp_path / "stopped")
    second = training()
    run_stage("reader", second, step_loss(second), settings=settings, folder=tmp_path / "stopped")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    logs = [
        (tmp_path / name / "reader.jsonl").read_text().splitlines() for name in ("whole", "stopped")
    ]
    assert len(logs[0]) == len(logs[1]) == 6


def test_pretraining_ends_in_a_model_like_any_other(tmp_path):
    steps = {f"{name}_steps": 1 for name in ("tower", "patch", *STAGES[2:])}
    folder = pretrain(PretrainRecipe(pool_scenes=64, **steps), tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert AutoProcessor.from_pretrained(folder).tokenizer.eos_token == "</s>"
    assert (folder / "manifest.json").is_file()
    log = [json.loads(line)["stage"] for line in (folder / LOG).read_text().splitlines()]
    assert tuple(log) == STAGES
    again = pretrain(PretrainRecipe(pool_scenes=64, **steps), tmp_path)
    reloaded = AutoModelForImageTextToText.from_pretrained(again)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), reloaded.parameters(), strict=True)
    )

    # Stages are taken as they are found, and so only by the recipe that they were trained with.
    longer = {**steps, "reader_steps": 2, "find_steps": 2}
    with pytest.raises(ConfigError, match="in `reader_steps`, `find_steps`"):
        pretrain(PretrainRecipe(pool_scenes=64, **longer), tmp_path)
    pretrain(PretrainRecipe(pool_scenes=64, noise_share=0.5, device="cpu", **steps), tmp_path)

    # A base that exists already is gone on from: only the last two stages are run.
    later = pretrain(PretrainRecipe(pool_scenes=64, start=str(folder), **steps), tmp_path / "later")
    log = [json.loads(line)["stage"] for line in (later / LOG).read_text().splitlines()]
    assert tuple(log) == (*STAGES, "lookup", "noise")
    weights = AutoModelForImageTextToText.from_pretrained(later).state_dict()
    before = model.state_dict()
    moved = {
        name.split(".")[1]
        for name, tensor in weights.items()
        if not torch.equal(tensor, before[name])
    }
    assert {"language_model", "multi_modal_projector"} <= moved
    assert "vision_tower" not in moved


def test_the_shipped_model_is_small_and_describes_what_it_sees():
    path = base_model_path()
    assert (path / "model.safetensors").stat().st_size <= 8 * 2**20
    vlm = load_model(str(path))

    scenes = list(sample_scenes(0, "shipped", 300))
    answers = generate_responses(
        vlm,
        ["Describe the picture in detail."] * 300,
        [render(s) for s in scenes],
        max_new_tokens=96,
        batch_size=100,
    )
    verdicts = [
        judge_description(scene, answer.text)
        for scene, (answer,) in zip(scenes, answers, strict=True)
    ]
    judged = list(zip(scenes, verdicts, strict=True))

    def coverage(pairs):
        named = sum(len(verdict.covered) for _, verdict in pairs)
        return named / sum(len(scene.groups) for scene, _ in pairs)

    # 86 % of these scenes' objects, 91 % where all stand apart; 58 % hallucinate. Of the 1,000 test
    # scenes it names 87 %, and 60 % hallucinate.
    assert coverage(judged) > 0.82
    assert coverage([pair for pair in judged if pair[0].close is None]) > 0.88
    assert 0.5 < sum(v.hallucinates for v in verdicts) / 300 < 0.68


def test_a_taught_description_is_what_generation_would_be_asked_for(tokenizer, tmp_path):
    build_model(tokenizer, seed=0).save_pretrained(tmp_path)
    build_processor(tokenizer).save_pretrained(tmp_path)
    vlm = load_model(str(tmp_path))
    scene = sample_scene(0, "test", 0)
    text = describe(scene, child_random(0, "text"))
    taught = collate([Example((("Describe the picture.", text),), scene=scene)], vlm.tokenizer)

    prompt = encode_prompts(vlm, ["Describe the picture."], [render(scene)])["input_ids"][
        0
    ].tolist()
    response = list(encode_responses(vlm, [text])[0].ids)
    assert taught.input_ids[0].tolist() == prompt + response
