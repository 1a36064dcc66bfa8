"""Models × benchmarks: a real miniature, an endpoint that is a real server, small files."""

import base64
import io
import json
import subprocess
import sys

import pytest

from judge_endpoint import MODEL, judge_endpoint
from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError, DataError, ModelError
from veridical.evaluation import questions
from veridical.evaluation.recipe import EvaluateRecipe
from veridical.evaluation.run import evaluate
from veridical.evaluation.table import evaluation_table
from veridical.records import Prompt, Response, read_records
from veridical.scoring.runs import compare_runs, read_runs, spread


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32), (80 * number, 40, 10)).save(
            tmp_path / "images" / f"{number}.png"
        )
    rows = [
        {
            "question_id": i,
            "image": f"{i % 3}.png",
            "text": f"Is there a thing {i}?",
            "label": "yes" if i % 2 else "no",
        }
        for i in range(8)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def recipe(folder, *, models, benchmark=None, **more):
    pope = {"benchmark": "pope", "questions": str(folder / "questions.jsonl"), "max_new_tokens": 4}
    data = {
        "models": models,
        "benchmarks": [pope | (benchmark or {})],
        "out": str(folder / "out"),
    } | more
    return resolve_recipe(data, EvaluateRecipe)


def local(path, **more):
    return {"model": str(path), "name": "tiny", "device": "cpu"} | more


def test_a_model_answers_and_is_scored_and_nothing_is_made_twice(folder, tiny_llava_path, capsys):
    made = recipe(
        folder, models=[local(tiny_llava_path)], benchmark={"variants": ["official", "strict"]}
    )
    first = evaluate(made)
    assert [(run.model, run.benchmark, run.scored.total.variant) for run in first.runs] == [
        ("tiny", "pope", "official"),
        ("tiny", "pope", "strict"),
    ]
    cell = first.runs[0].path.parent
    assert {path.name for path in cell.iterdir()} >= {
        "answers.jsonl",
        "responses.jsonl",
        "prompts.jsonl",
        "rests_on.json",
        "score-official.json",
        "items-official.jsonl",
        "card-official.md",
    }
    prompts = read_records(cell / "prompts.jsonl", Prompt)
    assert [prompt.question for prompt in prompts][:2] == [
        "Is there a thing 0?",
        "Is there a thing 1?",
    ]
    responses = read_records(cell / "responses.jsonl", Response)
    assert [response.prompt_id for response in responses] == [str(i) for i in range(8)]
    when = (cell / "responses.jsonl").stat().st_mtime_ns
    capsys.readouterr()
    second = evaluate(made)
    assert "8 answers there already" in capsys.readouterr().err
    assert (cell / "responses.jsonl").stat().st_mtime_ns == when
    assert [run.scored.total.metrics for run in second.runs] == [
        run.scored.total.metrics for run in first.runs
    ]
    assert load_recipe(folder / "out" / "recipe.toml", EvaluateRecipe) == made


def test_other_words_weights_or_pictures_lie_elsewhere(folder, tiny_llava_path, tmp_path_factory):
    from PIL import Image

    from miniatures import tiny_llava

    def cell(path, **benchmark):
        return (
            evaluate(recipe(folder, models=[local(path)], benchmark=benchmark)).runs[0].path.parent
        )

    plain = cell(tiny_llava_path)
    asked_shortly = cell(tiny_llava_path, preset="llava-1.5")
    other = cell(tiny_llava(tmp_path_factory.mktemp("other") / "m", seed=1))
    Image.new("RGB", (32, 32), (1, 2, 3)).save(folder / "images" / "0.png")
    repainted = cell(tiny_llava_path)
    assert len({plain, asked_shortly, other, repainted}) == 4
    short = read_records(asked_shortly / "prompts.jsonl", Prompt)[0].question
    assert short == "Is there a thing 0?\nAnswer the question using a single word or phrase."


def test_templates_and_seeds_make_rounds_and_a_spread(folder, tiny_llava_path):
    made = recipe(
        folder,
        models=[local(tiny_llava_path)],
        benchmark={"templates": ["{question}", "Look. {question}"], "temperature": 1.0},
        seeds=[0, 1],
    )
    done = evaluate(made)
    runs = done.runs
    assert [run.trial for run in runs] == [
        "template 1, seed 0",
        "template 1, seed 1",
        "template 2, seed 0",
        "template 2, seed 1",
    ]
    texts = [
        [r.text for r in read_records(run.path.parent / "responses.jsonl", Response)]
        for run in runs
    ]
    assert texts[0] != texts[1]
    (metrics,) = spread(runs).values()
    values = [run.scored.total.metrics["accuracy"].value for run in runs]
    assert metrics["accuracy"].trials == 4
    assert (metrics["accuracy"].low, metrics["accuracy"].high) == (min(values), max(values))
    assert "over trials: mean [least, greatest]" in evaluation_table(done)


def test_greedy_answers_need_no_second_seed(folder, tiny_llava_path):
    runs = evaluate(recipe(folder, models=[local(tiny_llava_path)], seeds=[0, 1, 2])).runs
    assert [run.trial for run in runs] == [""]


def says(words):
    """A model behind the endpoint that answers by the question and has seen the picture."""

    def answer(content):
        picture, question = content
        assert base64.b64decode(picture["image_url"]["url"].partition(",")[2]).startswith(
            b"\x89PNG"
        )
        return words(int(question["text"].split()[-1].rstrip("?")))

    return answer


def at(server, name):
    return {"model": MODEL, "name": name, "url": server.url, "attempts": 2}


def test_endpoints_are_compared_in_pairs(folder):
    with (
        judge_endpoint(rate=says(lambda i: "Yes")) as always,
        judge_endpoint(rate=says(lambda i: "Yes" if i % 2 else "No")) as oracle,
    ):
        made = recipe(folder, models=[at(always, "always"), at(oracle, "oracle")])
        done = evaluate(made)
        runs = done.runs
        asked = len(oracle.bodies)
        evaluate(made)
        assert len(oracle.bodies) == asked == 8
    assert [run.scored.total.metrics["accuracy"].value for run in runs] == [0.5, 1.0]
    (comparison,) = done.comparisons
    accuracy = comparison.metrics["accuracy"]
    assert (accuracy.first, accuracy.second, accuracy.difference.n) == (0.5, 1.0, 3)
    table = evaluation_table(done)
    assert "oracle minus always, paired" in table
    assert "3 images cannot tell 100.0 % from 50.0 %" in table
    body = oracle.bodies[0]
    assert (body["temperature"], body["max_tokens"]) == (0.0, 4)
    back = read_runs(folder / "out")
    assert [(run.model, run.scored.total, run.scored.items) for run in back] == [
        (run.model, run.scored.total, run.scored.items) for run in runs
    ]


def test_a_later_run_is_compared_with_an_earlier_one_in_pairs(folder):
    with (
        judge_endpoint(rate=says(lambda i: "Yes")) as always,
        judge_endpoint(rate=says(lambda i: "Yes" if i % 2 else "No")) as oracle,
    ):
        evaluate(recipe(folder, models=[at(always, "m"), at(oracle, "n")], out=str(folder / "old")))
        later = recipe(folder, models=[at(oracle, "m")], compare_with=str(folder / "old"))
        done = evaluate(later)
    (comparison,) = done.comparisons
    assert (comparison.first.model, comparison.second.model) == ("old/m", "m")
    assert comparison.metrics["accuracy"].difference.difference == 0.5
    assert "m minus old/m, paired" in evaluation_table(done)
    (written,) = json.loads((folder / "out" / "comparison.json").read_text())["comparisons"]
    assert (written["against"], written["metrics"]["accuracy"]["difference"]) == ("old/m", 0.5)
    assert [run.model for run in read_runs(folder / "out")] == ["m"]
    nowhere = recipe(folder, models=[{"model": "no/such"}], compare_with=str(folder / "images"))
    with pytest.raises(DataError, match=r"scores\.json: there is no such file"):
        evaluate(nowhere)


@pytest.mark.parametrize(
    "name",
    ["../../escape", "..", "a/b", "a\\b", "C:x", "aux", "Com1.txt", "a.", " a", "a\n", "x" * 101],
)
def test_names_that_cannot_be_one_folder_are_refused(folder, name):
    with pytest.raises(ConfigError, match=r"has 1 fault:\n.*models\.0.*names a folder too"):
        recipe(folder, models=[{"model": "m", "name": name}])
    with pytest.raises(ConfigError, match=r"benchmarks\.0.*names a folder too"):
        recipe(folder, models=[{"model": "m"}], benchmark={"name": name})


@pytest.mark.parametrize("model", ["..", "/", "llava:13b", "a/b/..", "CON", "é/ü?", "x" * 300])
def test_a_name_made_from_the_model_is_one_folder(folder, model):
    label = recipe(folder, models=[{"model": model}]).models[0].label
    assert (folder / label).parent == folder
    assert (folder / label).resolve() == folder / label


@pytest.mark.parametrize(
    ("first", "second"), [("Base", "base"), ("STRASSE", "straße"), ("\u00e9", "e\u0301")]
)
def test_names_that_are_one_folder_on_some_systems_are_one_name(folder, first, second):
    with pytest.raises(ConfigError, match="two of `models` are called"):
        recipe(folder, models=[{"model": "m", "name": first}, {"model": "n", "name": second}])


@pytest.mark.parametrize("name", ["endpoint", "Scores.json"])
def test_a_model_does_not_take_the_place_of_what_is_written(folder, name):
    with pytest.raises(ConfigError, match="the evaluation writes that"):
        recipe(folder, models=[{"model": "m", "name": name}])


def test_a_picture_outside_of_the_images_folder_is_refused_unless_links_are_wanted(
    folder, tmp_path
):
    outside = folder / "elsewhere.png"
    (folder / "images" / "0.png").rename(outside)
    (folder / "images" / "0.png").symlink_to(outside)
    inside = {"images": str(folder / "images")}
    with judge_endpoint(rate=says(lambda i: "No")) as server:
        with pytest.raises(DataError, match="leads out of the dataset's folder"):
            evaluate(recipe(folder, models=[at(server, "m")], benchmark=inside))
        assert not server.bodies
        evaluate(
            recipe(folder, models=[at(server, "m")], benchmark=inside | {"images_outside": True})
        )
    for name in ("../elsewhere.png", str(outside)):
        row = {"question_id": 0, "image": name, "text": "Is there a thing 0?", "label": "no"}
        (folder / "questions.jsonl").write_text(json.dumps(row))
        with pytest.raises(DataError, match="leads out of the dataset's folder"):
            evaluate(recipe(folder, models=[{"model": "no/such"}], benchmark=inside))


def test_a_broken_picture_is_a_fault_before_a_model_is_loaded(folder):
    (folder / "images" / "1.png").write_bytes((folder / "images" / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"(?s)1 fault .*question 1: .*cannot be decoded"):
        evaluate(recipe(folder, models=[{"model": "no/such-model", "name": "x"}]))


def test_an_endpoint_gets_the_picture_that_training_sees(folder):
    """Upright, in RGB, named by its true type; what any reader sees alike goes as it is."""
    import numpy as np
    from PIL import Image

    from veridical.records import ImageRef
    from veridical.records.images import open_image

    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 255, (8, 16, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(rng.integers(0, 65535, (8, 8)).astype(np.uint16))
    clear = pixels.convert("RGBA")
    clear.putalpha(0)
    pictures = {
        "plain.png": (pixels, {}),
        "turned.jpg": (pixels, {"exif": turned}),
        "cmyk.jpg": (pixels.convert("CMYK"), {}),
        "scan.tiff": (pixels, {}),
        "deep.png": (deep, {}),
        "clear.png": (clear, {}),
        "palette.gif": (pixels.convert("P"), {}),
        "named-wrongly.jpg": (pixels, {"format": "PNG"}),
    }
    rows = []
    for number, (name, (picture, how)) in enumerate(pictures.items()):
        picture.save(folder / "images" / name, **how)
        row = {"question_id": number, "image": name, "text": f"Thing {number}?", "label": "no"}
        rows.append(json.dumps(row))
    (folder / "questions.jsonl").write_text("\n".join(rows))
    seen = {}

    def look(content):
        picture, question = content
        head, _, data = picture["image_url"]["url"].partition(";base64,")
        number = int(question["text"].split()[-1].rstrip("?"))
        seen[list(pictures)[number]] = head, base64.b64decode(data)
        return "No."

    with judge_endpoint(rate=look) as server:
        evaluate(recipe(folder, models=[at(server, "m")]))
    assert seen.keys() == pictures.keys()
    for name, (head, data) in seen.items():
        with Image.open(io.BytesIO(data)) as sent:
            assert head == f"data:{Image.MIME[sent.format]}", name
            assert sent.mode == "RGB", name
            assert sent.getexif().get(0x0112, 1) == 1, name
            same = open_image(ImageRef(path=name), root=folder / "images")
            assert sent.tobytes() == same.tobytes(), name
    assert seen["plain.png"][1] == (folder / "images" / "plain.png").read_bytes()
    assert Image.open(io.BytesIO(seen["turned.jpg"][1])).size == (8, 16)


def test_what_an_interrupted_write_left_stops_no_resume(folder, tiny_llava_path):
    made = recipe(folder, models=[local(tiny_llava_path)], save_every=3)
    cell = evaluate(made).runs[0].path.parent
    (cell / "responses.jsonl").unlink()
    (cell / "parts").mkdir()
    (cell / "parts" / ".00000000.jsonl.0a1b2c3d.jsonl").write_text("half")
    evaluate(made)
    assert not (cell / "parts").exists()


def test_a_picture_is_decoded_once_and_checked_again_where_it_changes(folder, monkeypatch):
    with judge_endpoint(lambda content, attempt: "ok", says(lambda i: "No")) as s:
        made = recipe(folder, models=[at(s, "one")])
        evaluate(made)
        looked = []
        decode = questions.recorded_image_fault

        def noted(image, **where):
            looked.append(image.path)
            return decode(image, **where)

        monkeypatch.setattr(questions, "recorded_image_fault", noted)
        evaluate(made)
        assert looked == []
        changed = next((folder / "images").glob("*.png"))
        changed.write_bytes(changed.read_bytes()[:60])
        with pytest.raises(DataError, match="cannot be decoded"):
            evaluate(made)
        assert looked == [str(changed)]


def test_an_endpoint_that_fails_leaves_what_it_answered(folder):
    with judge_endpoint(
        lambda content, attempt: "500" if "7?" in content[1]["text"] else "ok", says(lambda i: "No")
    ) as s:
        made = recipe(folder, models=[at(s, "shaky")])
        total = evaluate(made).runs[0].scored.total
        assert (total.counts["items"], total.counts["failed"]) == (7, 1)
        assert total.metrics["yes_ratio"].n == 7
        assert any("1 question got no answer; left out" in note for note in total.warnings)
        before = len(s.bodies)
        s.plan = lambda content, attempt: "ok"
        runs = evaluate(made).runs
        assert len(s.bodies) == before + 1
    assert runs[0].scored.total.metrics["yes_ratio"].value == 0
    assert runs[0].scored.total.metrics["yes_ratio"].n == 8


def test_an_endpoint_that_refuses_everything_gives_no_score(folder):
    with judge_endpoint(lambda content, attempt: "400", says(lambda i: "No")) as s:
        with pytest.raises(ModelError, match="the model answered none of 8 questions"):
            evaluate(recipe(folder, models=[at(s, "strict")]))
        s.plan = lambda content, attempt: "ok"
        assert evaluate(recipe(folder, models=[at(s, "strict")])).runs[0].scored.items


def test_an_interrupted_run_goes_on_after_the_last_share(folder, tiny_llava_path, monkeypatch):
    from veridical.evaluation.engines.hf import HfEngine

    made = recipe(folder, models=[local(tiny_llava_path)], save_every=3)
    whole = evaluate(made.model_copy(update={"out": folder / "whole"}))
    answer, counts = HfEngine.answer, []

    def breaks(self, prompts, preset, *, seed):
        counts.append(len(prompts))
        if len(counts) == 3:
            raise KeyboardInterrupt
        return answer(self, prompts, preset, seed=seed)

    monkeypatch.setattr(HfEngine, "answer", breaks)
    with pytest.raises(KeyboardInterrupt):
        evaluate(made)
    runs = evaluate(made).runs
    assert counts == [3, 3, 2, 2]
    assert (runs[0].path.parent / "answers.jsonl").read_bytes() == (
        whole.runs[0].path.parent / "answers.jsonl"
    ).read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"benchmark": "popp"}, ConfigError, "no benchmark 'popp'"),
        ({"variants": ["stric"]}, ConfigError, "no variant 'stric'"),
        ({"preset": "gpt"}, ConfigError, "no preset 'gpt'. It has: plain"),
        ({"options": {"task": "all"}}, ConfigError, "no option --task"),
        ({"templates": ["Say yes"]}, ConfigError, "must hold"),
        ({"benchmark": "mmhal"}, ConfigError, "needs a judge"),
        ({"images": "/nowhere"}, DataError, r"3 faults.*question 0: no image '0.png'"),
        ({"judge": {"model": "m", "cache": "c"}, "world_items": "i"}, ConfigError, "two judges"),
    ],
)
def test_what_is_wrong_is_reported_before_a_model_is_loaded(folder, change, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        evaluate(recipe(folder, models=[{"model": "no/such-model", "name": "x"}], benchmark=change))


def test_two_models_of_one_name_are_refused(folder):
    with pytest.raises(ConfigError, match="two of `models` are called tiny: give each a `name`"):
        recipe(folder, models=[{"model": "a", "name": "tiny"}, {"model": "b/tiny"}])


def test_an_adapter_that_is_not_there_is_reported(folder, tiny_llava_path):
    with pytest.raises(ModelError, match="no adapter folder"):
        evaluate(recipe(folder, models=[local(tiny_llava_path, adapter="/nowhere")]))


def test_a_judge_at_an_endpoint_rates_what_a_model_said(folder):
    template = [
        {
            "question_type": "attribute",
            "question_topic": "x",
            "image_id": f"{i}",
            "image_src": f"http://x/y/{i}.png",
            "image_content": ["Thing"],
            "question": f"What is thing {i}?",
            "gt_answer": "Red.",
            "model_answer": "",
        }
        for i in range(3)
    ]
    (folder / "template.json").write_text(json.dumps(template))
    with (
        judge_endpoint(rate=says(lambda i: f"It is number {i}.")) as model,
        judge_endpoint(
            rate=lambda text: "Rating: 5" if "number 1" in text else "Rating: 2"
        ) as judge,
    ):
        mmhal = {
            "benchmark": "mmhal",
            "questions": str(folder / "template.json"),
            "images": str(folder / "images"),
            "judge": {"model": MODEL, "url": judge.url, "cache": str(folder / "judged")},
        }
        made = recipe(folder, models=[at(model, "m")], benchmark=mmhal)
        (run,) = evaluate(made).runs
        evaluate(made)
        assert len(judge.bodies) == 3
    assert [item.values["score"] for item in run.scored.items] == [2.0, 5.0, 2.0]
    assert run.scored.total.versions["judge"] == MODEL
    assert load_recipe(folder / "out" / "recipe.toml", EvaluateRecipe) == made


def asked_for(content):
    """The question of a request, and whether a picture came with it."""
    return content[-1]["text"], len(content) == 2


def hallusion_questions(folder):
    rows = [
        {
            "category": "VS",
            "subcategory": "chart",
            "visual_input": str(figure),
            "set_id": "0",
            "figure_id": str(figure),
            "question_id": str(n),
            "question": f"Is line {n} long?",
            "gt_answer": str(n % 2),
            "gt_answer_details": "So.",
            "filename": f"./{figure}.png" if figure else None,
        }
        for figure in range(3)
        for n in range(2)
    ]
    path = folder / "HallusionBench.json"
    path.write_text(json.dumps(rows))
    return {"benchmark": "hallusionbench", "questions": str(path), "images": str(folder / "images")}


def test_questions_without_a_figure_are_asked_without_an_image_and_read_or_judged(folder):
    seen = []

    def look(content):
        seen.append(asked_for(content))
        return "Yes, it is." if seen[-1][1] else "Hard to say."

    def judge_by_answer(text):
        return (
            "unclear" if "Hard to say" in text else "correct" if "line 1" in text else "incorrect"
        )

    with judge_endpoint(rate=look) as model, judge_endpoint(rate=judge_by_answer) as judge:
        settings = {"model": MODEL, "url": judge.url, "cache": str(folder / "judged")}
        benchmark = hallusion_questions(folder) | {
            "variants": ["official", "yes-no"],
            "judge": settings,
        }
        official, by_words = evaluate(
            recipe(folder, models=[at(model, "m")], benchmark=benchmark)
        ).runs
    assert sorted(picture for _, picture in seen) == [False] * 2 + [True] * 4
    for run in (official, by_words):
        assert [item.values["correct"] for item in run.scored.items] == [1, 1, 0, 1, 0, 1]
    assert official.scored.total.versions["judge"] == MODEL
    assert "judge" not in by_words.scored.total.versions


@pytest.mark.parametrize("benchmark", ["hallusionbench", "object-halbench"])
def test_a_variant_without_a_judge_needs_none(folder, benchmark):
    rows = [
        {"question_id": n, "image_id": n, "image_path": f"{n}.png", "question": "Describe it."}
        for n in range(3)
    ]
    (folder / "obj.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "truth.json").write_text(json.dumps({str(n): ["dog"] for n in range(3)}))
    settings, variant = {
        "hallusionbench": (hallusion_questions(folder), "yes-no"),
        "object-halbench": (
            {
                "benchmark": "object-halbench",
                "questions": str(folder / "obj.jsonl"),
                "reference": str(folder / "truth.json"),
                "images": str(folder / "images"),
            },
            "no-llm",
        ),
    }[benchmark]
    with judge_endpoint(rate=lambda content: "Yes, a dog.") as model:
        with pytest.raises(
            ConfigError, match=f"needs a judge.*or count without one: variants = .*{variant}"
        ):
            evaluate(recipe(folder, models=[at(model, "m")], benchmark=settings))
        assert not model.bodies
        made = recipe(folder, models=[at(model, "m")], benchmark=settings | {"variants": [variant]})
        (run,) = evaluate(made).runs
    assert {item.status for item in run.scored.items} == {"scored"}


def test_answers_for_people_wait_in_a_sheet_that_is_never_written_again(folder, capsys):
    from veridical import cli

    rows = [
        {"id": f"q{n}", "question": f"Describe picture {n}?", "image": f"{n}.png"} for n in range(3)
    ]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (
        'out = "{0}/out"\n[[models]]\nmodel = "{1}"\nname = "m"\nurl ='
        ' "{2}"\n[[benchmarks]]\nbenchmark = "mhumaneval"\nquestions = "{0}/asked.jsonl"\nimages ='
        ' "{0}/images"\n'
    )

    def run_it():
        with pytest.raises(SystemExit) as left:
            cli.main(["evaluate", str(folder / "recipe.toml")])
        assert left.value.code == 0
        return capsys.readouterr()

    with judge_endpoint(rate=says(lambda n: f"A dog and {n} cats.")) as model:
        (folder / "recipe.toml").write_text(text.format(folder, MODEL, model.url))
        said = run_it()
        (sheet,) = folder.glob("out/m/mhumaneval/*/annotations.jsonl")
        assert "3 of 3 answers wait for people, there is no score yet. Put the kinds" in said.err
        assert str(sheet) in said.err
        assert said.out == ""
        open_rows = [json.loads(line) for line in sheet.read_text().splitlines()]
        assert open_rows[1] == {
            "id": "q1",
            "question": "Describe picture 1?",
            "image": "1.png",
            "text": "A dog and 1 cats.",
            "segments": None,
        }
        marks = [["object"], [], None]
        sheet.write_text(
            "".join(
                json.dumps({**row, "segments": m}) + "\n"
                for row, m in zip(open_rows, marks, strict=True)
            )
        )
        assert "1 of 3 answers wait for people" in run_it().err
        sheet.write_text(
            sheet.read_text().replace("null", '[{"text": "2 cats", "kind": "number"}]')
        )
        said = run_it()
        assert len(model.bodies) == 3
    assert "mhumaneval · rlhf-v" in said.out
    (total,) = folder.glob("out/m/mhumaneval/*/score-rlhf-v.json")
    metrics = json.loads(total.read_text())["metrics"]
    rates = [metrics[f"hallucination/{kind}"]["value"] for kind in ("object", "number", "all")]
    assert rates == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_descriptions_of_scenes_are_asked_and_compared(folder):
    """Two kitchens without a knife and a picture of no scene: naming knives makes a gap."""
    scenes = [
        {"image_id": str(i), "scene": "kitchen" if i < 2 else None, "image": f"{i}.png"}
        for i in range(3)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scenes))
    (folder / "truth.json").write_text(json.dumps({"0": ["bowl"], "1": [], "2": ["knife"]}))
    told = {"benchmark": "over-generalisation", "reference": str(folder / "truth.json")}
    with (
        judge_endpoint(rate=lambda body: "A knife.") as eager,
        judge_endpoint(rate=lambda body: "It is nice.") as silent,
    ):
        made = recipe(folder, models=[at(eager, "eager"), at(silent, "silent")], benchmark=told)
        runs = evaluate(made).runs
        assert len(eager.bodies) == 3
    assert "Please describe this image in detail." in json.dumps(eager.bodies[0])
    gaps = [run.scored.total.metrics["over_generalisation/kitchen"] for run in runs]
    assert (gaps[0].value, gaps[0].n, gaps[1].n) == (pytest.approx(1 - 2 / 3), 2, 0)
    assert (
        compare_runs(runs)[0].metrics == {}
    )  # one of them has no rate: there is nothing to compare


FULL_DISK = """
import resource, signal, sys
from veridical import cli
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
cli.main(sys.argv[2:])
"""


@pytest.mark.parametrize("room", [0, 1500])
def test_a_disk_that_takes_no_more_is_one_message_and_the_run_resumes(folder, room):
    with judge_endpoint(rate=says(lambda i: "Yes")) as server:
        made = recipe(folder, models=[at(server, "m")])
        path = write_recipe(made, folder / "evaluate.toml")

        def run(*words):
            code = [sys.executable, "-c", FULL_DISK, *map(str, words), "evaluate", str(path)]
            return subprocess.run(code, capture_output=True, text=True, check=False, timeout=60)

        full = run(room)
        assert full.returncode == 1
        assert "Traceback" not in full.stderr
        last = full.stderr.strip().splitlines()[-1]
        assert last.startswith("Error: Cannot write"), full.stderr
        asked = len(server.bodies)
        assert run(10**9).returncode == 0
    assert len(server.bodies) <= 8 + asked
    assert not [path for path in (folder / "out").rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize(
    "listed",
    ["[" * 100_000, "{}", '{"scores": 3}', '{"scores": [{}]}', '{"scores": [{"model": 1}]}'],
)
def test_an_earlier_evaluation_that_was_changed_is_a_fault(folder, listed):
    (folder / "scores.json").write_text(listed)
    with pytest.raises(DataError, match=r"scores\.json: "):
        evaluate(recipe(folder, models=[{"model": "no/such"}], compare_with=str(folder)))
