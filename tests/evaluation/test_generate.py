import json

import pytest
from PIL import Image

from veridical.cli import main
from veridical.config import load_recipe, resolve_recipe
from veridical.errors import ConfigError, DataError
from veridical.evaluation import generate as generating
from veridical.evaluation.generate import GenerateRecipe, generate
from veridical.files import hash_file
from veridical.models.generation import generate_responses
from veridical.models.loading import load_model
from veridical.models.prompts.settings import ProcessorRecipe
from veridical.records import (
    NO_IMAGE,
    ImageRef,
    Manifest,
    Prompt,
    Response,
    read_records,
    write_records,
)
from veridical.records.images import open_image

COLOURS = ["red", "green", "blue", "white", "black"]


@pytest.fixture
def prompts(tmp_path):
    rows = []
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number}.png")
        rows.append(
            Prompt(
                id=f"p{number}", image=ImageRef(path=f"{number}.png"), question=f"Colour {number}?"
            )
        )
    return write_records(tmp_path / "prompts.jsonl", rows, kind="Prompt")


@pytest.fixture
def recipe(prompts, tiny_llava_path, tmp_path):
    return GenerateRecipe(
        model=str(tiny_llava_path),
        prompts=prompts,
        out=tmp_path / "out",
        num_samples=2,
        temperature=1.0,
        max_new_tokens=6,
        batch_size=2,
        save_every=2,
    )


def in_folder(recipe, folder):
    return recipe.model_copy(update={"out": folder})


def test_every_prompt_is_answered_in_order_with_its_samples(recipe):
    done = generate(recipe)
    assert [(r.prompt_id, r.sample) for r in done.responses] == [
        (f"p{i}", s) for i in range(5) for s in range(2)
    ]
    assert read_records(done.path, Response) == done.responses
    assert len({r.text for r in done.responses}) > 1
    assert all(r.temperature == 1.0 and r.model == recipe.model for r in done.responses)
    assert {p.name for p in recipe.out.glob("[!.]*")} == {
        "prompts.jsonl",
        "responses.jsonl",
        "manifest.json",
        "recipe.toml",
        "rests_on.json",
    }
    manifest = Manifest.model_validate_json((recipe.out / "manifest.json").read_text())
    assert manifest.inputs[str(recipe.prompts)] == hash_file(recipe.prompts)
    assert len(manifest.inputs["model"]) == 64
    assert load_recipe(recipe.out / "recipe.toml", GenerateRecipe) == recipe


def test_an_interrupted_run_goes_on_and_gives_what_an_uninterrupted_one_gives(
    recipe, tmp_path, monkeypatch
):
    whole = generate(in_folder(recipe, tmp_path / "whole"))
    answer, asked = generating._answer, []

    def interrupted(vlm, recipe, some, start):
        asked.append(start)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answer(vlm, recipe, some, start)

    monkeypatch.setattr(generating, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(recipe)
    assert not (recipe.out / "responses.jsonl").exists()
    resumed = generate(recipe)
    assert asked == [0, 2, 2, 4]  # the share that was done is not done again
    assert resumed.responses == whole.responses
    assert generate(recipe).responses == whole.responses  # complete: nothing more is asked
    assert len(asked) == 4


def test_a_folder_belongs_to_one_recipe_and_one_state_of_the_prompts(recipe):
    generate(recipe)
    with pytest.raises(ConfigError, match="another recipe"):
        generate(recipe.model_copy(update={"seed": 1}))
    rows = read_records(recipe.prompts, Prompt)
    write_records(recipe.prompts, rows[:3], kind="Prompt")
    with pytest.raises(ConfigError, match="changed since"):
        generate(recipe)


def test_a_model_that_changed_half_way_is_refused(recipe, monkeypatch):
    monkeypatch.setattr(generating, "_answer", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        generate(recipe)
    claims = json.loads((recipe.out / "rests_on.json").read_text())
    (recipe.out / "rests_on.json").write_text(json.dumps({**claims, "model": "0" * 64}))
    with pytest.raises(ConfigError, match="another model"):
        generate(recipe)


def spoil(recipe):
    """Make four prompts bad in four ways; the third stays good."""
    folder = recipe.prompts.parent
    (folder / "0.png").unlink()
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    lines = recipe.prompts.read_text().splitlines()
    row = json.loads(lines[4])
    row["image"]["sha256"] = "0" * 64
    lines[4] = json.dumps(row)
    lines[5] = lines[5].replace('"question"', '"qestion"')
    recipe.prompts.write_text("\n".join(lines))


def test_all_bad_prompts_are_reported_at_once_before_the_model_is_loaded(recipe, monkeypatch):
    spoil(recipe)
    monkeypatch.setattr(generating, "_load", lambda _: pytest.fail("loaded a model for bad data"))
    with pytest.raises(DataError) as caught:
        generate(recipe)
    assert [fault.line for fault in caught.value.faults] == [2, 3, 5, 6]
    for fault, words in zip(
        caught.value.faults, ["missing", "cannot be decoded", "is not the one", "`qestion`"]
    ):
        assert words in fault.message


def test_skip_bad_answers_the_good_and_lists_the_bad(recipe, capsys):
    spoil(recipe)
    assert {r.prompt_id for r in generate(recipe, skip_bad=True).responses} == {"p2"}
    assert "4 bad prompts left out" in capsys.readouterr().err
    assert len((recipe.out / "prompts.bad.txt").read_text().splitlines()) == 4


def test_an_image_outside_of_the_folder_needs_leave(recipe, tmp_path):
    inner = tmp_path / "inner"
    row = read_records(recipe.prompts, Prompt)[0]
    outside = row.model_copy(update={"image": ImageRef(path="../0.png")})
    recipe = recipe.model_copy(
        update={"prompts": write_records(inner / "p.jsonl", [outside], kind="Prompt")}
    )
    with pytest.raises(DataError, match="leads out of"):
        generate(recipe)
    assert len(generate(recipe.model_copy(update={"images_outside": True})).responses) == 2


def test_a_prompt_without_an_image_is_answered_without_one(recipe):
    """Its answer is that of the bare question, and those of its neighbours stay as they are."""
    rows = read_records(recipe.prompts, Prompt)
    greedy = recipe.model_copy(
        update={"temperature": 0.0, "num_samples": 1, "save_every": 64, "out": recipe.out / "a"}
    )
    seen = generate(greedy).responses
    rows[1] = rows[1].model_copy(update={"image": NO_IMAGE})
    write_records(recipe.prompts, rows, kind="Prompt")
    blind = generate(in_folder(greedy, recipe.out / "b")).responses
    assert [one.prompt_id for one in blind] == [row.id for row in rows]
    assert [one.text for one in blind if one.prompt_id != "p1"] == [
        one.text for one in seen if one.prompt_id != "p1"
    ]
    vlm = load_model(recipe.model)
    assert (
        blind[1].text
        == generate_responses(vlm, [rows[1].question], [None], max_new_tokens=6)[0][0].text
    )


def test_an_image_with_a_hash_and_no_path_is_a_fault(recipe):
    rows = [Prompt(id="p", image=ImageRef(path="", sha256="0" * 64), question="Colour?")]
    write_records(recipe.prompts, rows, kind="Prompt")
    with pytest.raises(DataError, match=r"prompts\.jsonl:2: no image is named, got an empty path"):
        generate(recipe)


def test_several_greedy_samples_are_refused():
    with pytest.raises(ConfigError, match="several greedy responses would all be the same"):
        resolve_recipe({"model": "m", "prompts": "p", "out": "o", "num_samples": 2}, GenerateRecipe)


def test_no_prompts_is_a_fault(recipe):
    write_records(recipe.prompts, [], kind="Prompt")
    with pytest.raises(DataError, match="no prompt to answer"):
        generate(recipe)


def test_a_folder_says_what_was_asked_of_which_image(recipe, tmp_path):
    generate(recipe)
    kept = read_records(recipe.out / "prompts.jsonl", Prompt)
    assert [row.question for row in kept] == [f"Colour {number}?" for number in range(5)]
    assert [row.image.path for row in kept] == [str(tmp_path / f"{n}.png") for n in range(5)]


def test_the_verb_reads_a_recipe_and_its_settings(recipe, tmp_path, capsys):
    file = tmp_path / "generate.toml"
    file.write_text(
        f'model = "{recipe.model}"\nprompts = "{recipe.prompts}"\nout ='
        f' "{tmp_path}/o"\nmax_new_tokens = 3\n'
    )
    with pytest.raises(SystemExit) as left:
        main(["generate", str(file), "limit=2"])
    assert left.value.code == 0
    assert "2 responses in" in capsys.readouterr().err
    rows = read_records(tmp_path / "o" / "responses.jsonl", Response)
    assert [(r.prompt_id, r.temperature) for r in rows] == [("p0", 0.0), ("p1", 0.0)]


def test_earlier_turns_pictures_and_the_system_message_are_read(recipe, prompts):
    first, second = read_records(prompts, Prompt)[:2]
    asked = first.model_copy(
        update={
            "question": "And this? <image>",
            "history": (("<image> Is this red?", "No."),),
            "more_images": (second.image,),
            "system": "Be brief.",
        }
    )
    talked = write_records(prompts.parent / "talked.jsonl", [asked], kind="Prompt")
    processor = ProcessorRecipe(system="Say no.")
    greedy = {"num_samples": 1, "temperature": 0.0}
    made = recipe.model_copy(update={"prompts": talked, "processor": processor} | greedy)
    (found,) = generate(made).responses
    vlm = load_model(recipe.model, device="cpu")
    pictures = [open_image(ref, root=prompts.parent) for ref in asked.images]
    ((expected,),) = generate_responses(
        vlm,
        [asked.question],
        [pictures],
        histories=[asked.history],
        systems=["Be brief."],
        max_new_tokens=made.max_new_tokens,
    )
    assert found.text == expected.text
    saved = json.loads((made.out / "manifest.json").read_text())["recipe"]["processor"]
    unchanged = {"template": {}, "images": {}, "pad": False, "resolution": 0}
    assert saved == {"system": "Say no.", **unchanged}


def test_the_worlds_model_answers_by_its_name(tmp_path):
    from veridical.world.export import write_scenes

    write_scenes(tmp_path, count=2, split="test", seed=0)
    given = {"model": "world", "prompts": str(tmp_path / "prompts.jsonl"), "device": "cpu"}
    made = resolve_recipe(given | {"out": str(tmp_path / "out")}, GenerateRecipe)
    texts = [response.text for response in generate(made).responses]
    assert len(texts) == 2
    assert all(text.endswith(".") for text in texts)


def test_two_runs_in_one_folder_are_kept_apart_and_leftovers_removed(tmp_path, tiny_llava_path):
    from veridical.locks import locked
    from veridical.world.export import write_scenes

    write_scenes(tmp_path, count=1, split="test", seed=0)
    given = {"model": str(tiny_llava_path), "prompts": str(tmp_path / "prompts.jsonl")}
    made = resolve_recipe(
        given | {"out": str(tmp_path / "out"), "max_new_tokens": 2}, GenerateRecipe
    )
    with locked(made.out), pytest.raises(ConfigError, match="is in use"):
        generate(made)
    leftover = made.out / "parts" / ".00000000.jsonl.0a1b2c3d.jsonl"
    leftover.parent.mkdir()
    leftover.write_text("half")
    generate(made)
    assert {path.name for path in made.out.iterdir()} >= {"responses.jsonl", "manifest.json"}
    assert not leftover.parent.exists()
