"""The world in the published formats: what the originals' code finds there is what is so."""

import json
from collections import Counter

import pytest

from veridical.benchmarks.world.files import POPE_SPLITS, pope_rows, write_world_benchmarks
from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.judge import WorldJudge
from veridical.errors import ConfigError
from veridical.evaluation.judging import judge_and_score
from veridical.records import read_records
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.seeding import child_random
from veridical.world.descriptions import describe
from veridical.world.inventory import OBJECTS
from veridical.world.scenes import sample_scenes

EVERYTHING = " ".join(f"There is a red {item.noun}." for item in OBJECTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world_benchmarks(folder, scenes=30, probe_scenes=10, questions_per_type=2)
    return folder


@pytest.fixture(scope="module")
def scenes(made):
    return {item.scene.id: item.scene for item in read_records(made / "items.jsonl", WorldItem)}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def oracle(scene):
    return describe(scene, child_random(0, scene.id))


def test_pope_is_balanced_and_true(made, scenes):
    for split in POPE_SPLITS:
        rows = lines(made / f"pope-{split}.jsonl")
        assert Counter(row["label"] for row in rows)["yes"] * 2 == len(rows)
        for row in rows:
            noun = row["text"].split()[3]
            there = noun in scenes[row["image"].removesuffix(".png")].nouns
            assert there == (row["label"] == "yes"), row
            assert (made / "images" / row["image"]).is_file()
        assert len({(row["image"], row["text"]) for row in rows}) == len(rows)


def test_adversarial_objects_stand_beside_what_is_there():
    counted = list(sample_scenes(0, "counted", 800))
    asked = list(sample_scenes(0, "asked", 60))
    beside = Counter(
        (a, b) for scene in counted for a in scene.nouns for b in scene.nouns if a != b
    )
    by_id = {scene.id: scene for scene in asked}

    def together(split):
        rows = [row for row in pope_rows(asked, counted, split, seed=0) if row["label"] == "no"]
        return sum(
            beside[there, row["text"].split()[3]]
            for row in rows
            for there in by_id[row["image"][:-4]].nouns
        ) / len(rows)

    assert together("adversarial") > 3 * together("random")
    popular = [
        row["text"].split()[3]
        for row in pope_rows(asked, counted, "popular", seed=0)
        if row["label"] == "no"
    ]
    often = Counter(noun for scene in counted for noun in scene.nouns)
    assert set(popular) <= {noun for noun, _ in often.most_common(8)}


@pytest.mark.parametrize("speaker", ["oracle", "everything", "silent"])
def test_chair_and_amber_know_who_speaks_the_truth(made, scenes, tmp_path, speaker):
    def say(scene):
        return {"oracle": oracle(scene), "everything": EVERYTHING, "silent": ""}[speaker]

    asked = lines(made / "chair-questions.jsonl")
    captions = [
        {"image_id": row["image_id"], "caption": say(scenes[row["image_id"]])} for row in asked
    ]
    chair = score(
        "chair",
        Files(write(tmp_path / "captions.jsonl", captions), reference=made / "chair-objects.json"),
        options={"words": str(made / "chair-words.txt")},
    ).total.metrics
    queries = json.loads((made / "amber" / "query" / "query_generative.json").read_text())
    questions = json.loads(
        (made / "amber" / "query" / "query_discriminative-existence.json").read_text()
    )
    said = [{"id": row["id"], "response": say(scenes[row["image"][:-4]])} for row in queries]
    said += [
        {"id": row["id"], "response": "No" if speaker == "oracle" else "Yes"} for row in questions
    ]
    amber = score(
        "amber",
        Files(write(tmp_path / "amber.jsonl", said), reference=made / "amber"),
        variant="corrected",
        options={"nouns": "lexicon", "similarity": "exact"},
    ).total.metrics
    found = {name: chair[name].value for name in ("chair_s", "recall")}
    found |= {name: amber[name].value for name in ("chair", "hal", "cover", "cog", "accuracy")}
    if speaker == "oracle":
        assert found == {
            "chair_s": 0,
            "recall": 1,
            "chair": 0,
            "hal": 0,
            "cover": 1,
            "cog": 0,
            "accuracy": 1,
        }
        assert amber["amber_score"].value == 100
    elif speaker == "everything":
        assert (found["chair_s"], found["hal"], found["cover"], found["cog"]) == (1, 1, 1, 1)
        assert found["chair"] > 0.9
    else:
        assert (found["chair_s"], found["cover"], chair["chair_i"].n, amber["chair"].n) == (
            0,
            0,
            0,
            0,
        )


def test_mmhal_is_judged_by_the_world_itself(made, tmp_path):
    items = {item.prompt.id: item for item in read_records(made / "items.jsonl", WorldItem)}
    rows = json.loads((made / "mmhal.json").read_text())
    assert len(rows) == 16
    for answer, least in ((lambda item: item.question.answer, 6), (lambda item: "", 0)):
        answered = [row | {"model_answer": answer(items[row["id"]])} for row in rows]
        path = write(tmp_path / "answers.jsonl", answered)
        judge = WorldJudge(list(items.values()))
        judged = judge_and_score("mmhal", Files(path), judge, reviews=tmp_path / "reviews.json")
        value = judged.scored.total.metrics["score"].value
        assert value == 6 if least == 6 else value < 6


def test_the_worlds_own_benchmark_is_scored_from_files_as_from_the_model(made, tmp_path):
    from veridical.benchmarks.world.evaluation import score_world
    from veridical.records import Response

    items = read_records(made / "items.jsonl", WorldItem)
    texts = [oracle(item.scene) if item.question is None else "Yes." for item in items]
    rows = [
        {"prompt_id": item.prompt.id, "text": text} for item, text in zip(items, texts, strict=True)
    ]
    scored = score(
        "world", Files(write(tmp_path / "a.jsonl", rows), reference=made / "items.jsonl"), seed=3
    )
    responses = [
        Response(id=item.prompt.id, prompt_id=item.prompt.id, text=text, model="m")
        for item, text in zip(items, texts, strict=True)
    ]
    assert scored.total.metrics == score_world(items, responses, seed=3).metrics


def test_the_recipe_runs_every_benchmark_of_the_folder(made, tiny_llava_path):
    from veridical.config import load_recipe
    from veridical.evaluation.recipe import EvaluateRecipe
    from veridical.evaluation.run import evaluate
    from veridical.report.benchmarks import all_scored, compare_benchmarks

    recipe = load_recipe(made / "evaluate.toml", EvaluateRecipe)
    short = [one.model_copy(update={"max_new_tokens": 2}) for one in recipe.benchmarks]
    model = recipe.models[0].model_copy(update={"model": str(tiny_llava_path), "device": "cpu"})
    recipe = recipe.model_copy(
        update={"benchmarks": tuple(short), "models": (model,), "batch_size": 64}
    )
    done = evaluate(recipe)
    assert {run.benchmark for run in done.runs} == {
        "world",
        "pope-random",
        "pope-popular",
        "pope-adversarial",
        "chair",
        "mmhal",
        "amber",
    }
    for run in done.runs:
        for name, metric in run.scored.total.metrics.items():
            assert metric.low <= metric.value <= metric.high, (run.benchmark, name)
    assert all_scored([done.out])
    page = compare_benchmarks(
        {"evaluation": done.out, "again": done.out}, made / "report.html"
    ).read_text()
    assert "pope-adversarial · strict" in page
    assert "Both are " in page


@pytest.mark.parametrize("split", ["../../escape", "/escape", "a/b", "a\\b", "aux."])
def test_the_name_of_a_split_cannot_leave_the_folder(tmp_path, split):
    from veridical.world.export import write_scenes

    with pytest.raises(ConfigError, match="Give its split another name"):
        write_scenes(tmp_path / "in" / "scenes", count=1, split=split, seed=0)
    with pytest.raises(ConfigError, match="Give its split another name"):
        write_world_benchmarks(tmp_path / "in" / "b", split=split, scenes=1, probe_scenes=1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
