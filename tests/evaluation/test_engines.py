"""Engines behind one protocol: a real server with a miniature behind it, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from judge_endpoint import MODEL, judge_endpoint
from miniature_server import miniature_server
from veridical.config import resolve_recipe, write_recipe
from veridical.errors import ConfigError, MissingPackageError, ModelError
from veridical.evaluation.engines.endpoint import EndpointEngine
from veridical.evaluation.engines.make import make_engine
from veridical.evaluation.engines.protocol import Decoding
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.generate import GenerateRecipe, generate
from veridical.models.loading import load_model, load_without_weights
from veridical.records import ImageRef, Prompt, Response, read_records, write_records

COUNT = 14


@pytest.fixture
def prompts(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(COUNT):
        pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        image = ImageRef(path=f"{number}.png")
        rows.append(Prompt(id=f"p{number}", image=image, question=f"What is it, {number}?"))
    return write_records(tmp_path / "prompts.jsonl", rows, kind="Prompt")


def kept(folder):
    return {file.stem for file in folder.glob("endpoint/*/[!.]*.json")}


def test_a_run_through_a_server_that_is_killed_asks_nothing_twice_and_loses_nothing(
    prompts, tiny_llava_path, tmp_path
):
    common = {"prompts": prompts, "max_new_tokens": 5, "save_every": COUNT // 2}
    plain = generate(
        GenerateRecipe(model=str(tiny_llava_path), out=tmp_path / "hf", device="cpu", **common)
    )
    vlm = load_model(tiny_llava_path, device="cpu")
    with miniature_server(vlm, delay=0.15) as server:
        recipe = GenerateRecipe(
            model="miniature",
            url=server.url,
            concurrency=2,
            price_in=1.0,
            price_out=2.0,
            out=tmp_path / "served",
            **common,
        )
        assert recipe.engine == "openai"
        write_recipe(recipe, tmp_path / "recipe.toml")
        command = [sys.executable, "-m", "veridical", "generate", str(tmp_path / "recipe.toml")]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as run:
            waited = time.monotonic() + 60
            while len(kept(recipe.out)) < COUNT // 2 + 1:  # in the second shard
                assert time.monotonic() < waited
                assert run.poll() is None
                time.sleep(0.01)
            os.kill(run.pid, signal.SIGKILL)
        before, asked = kept(recipe.out), dict(server.asked)
        assert COUNT // 2 < len(before) < COUNT
        done = generate(recipe)
    assert {key: server.asked[key] for key in before} == {key: asked[key] for key in before}
    assert set(server.computed.values()) == {1}
    assert len(server.computed) == COUNT
    assert [(r.prompt_id, r.text, r.finish) for r in done.responses] == [
        (r.prompt_id, r.text, r.finish) for r in plain.responses
    ]
    assert read_records(done.path, Response) == done.responses
    notes = json.loads((recipe.out / "manifest.json").read_text())["notes"]
    assert notes["tokens_read"] > 0
    assert notes["cost_usd"] == pytest.approx(
        (notes["tokens_read"] + 2 * notes["tokens_written"]) / 1e6
    )


def test_samples_of_a_prompt_are_asked_for_with_seeds_of_their_own(prompts, tmp_path):
    rows = read_records(prompts, Prompt)[:2]
    with judge_endpoint(rate=lambda content: "Yes.") as server:
        settings = EngineSettings(model=MODEL, url=server.url, extra={"top_k": 5})
        engine = EndpointEngine(settings, cache=tmp_path / "cache")
        decoding = Decoding(4, temperature=0.7, num_samples=3)
        placed = [
            row.model_copy(update={"image": ImageRef(path=str(tmp_path / row.image.path))})
            for row in rows
        ]
        said = engine.answer(placed, decoding, seed=9)
        again = engine.answer(placed, decoding, seed=9)
    assert [one.id for one in said] == [f"p{n}#{k}" for n in range(2) for k in range(3)]
    assert again == said
    assert len(server.bodies) == len({body["seed"] for body in server.bodies}) == 6
    assert {body["top_k"] for body in server.bodies} == {5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "hf", "url": "http://127.0.0.1:1/v1"}, "`url` needs"),
        ({"engine": "openai"}, "needs the `url`"),
        ({"url": "http://127.0.0.1:1/v1", "adapter": "a"}, "leave out `adapter`"),
        ({"url": "http://127.0.0.1:1/v1", "price_in": 1.0}, "come together"),
        ({"engine": "vlm"}, "vllm"),
        ({"engine": "ray", "ray": {"engine": "openai"}}, "needs the `url`"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe({"model": "m", **given}, EngineSettings)


def write_adapter(folder, *names):
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 4, "rank_pattern": {"q_proj": 8}}')
    weights = {f"base_model.model.{name}.weight": np.zeros((2, 2)) for name in names}
    save_file(weights, folder / "adapter_model.safetensors")
    return str(folder)


def test_vllm_takes_no_adapter_that_it_would_apply_in_part(tiny_llava_path, tmp_path):
    inside = "model.language_model.layers.0.self_attn.q_proj.lora_A"
    adapter = write_adapter(tmp_path / "a", inside, "model.multi_modal_projector.linear_1.lora_A")
    for url in ("", "http://127.0.0.1:1/v1"):
        settings = EngineSettings(
            model=str(tiny_llava_path), engine="vllm", adapter=adapter, url=url
        )
        with pytest.raises(ModelError, match=r"changes 1 modules beyond it.*multi_modal_projector"):
            make_engine(settings, batch_size=1, cache=tmp_path / "cache")


def test_an_engine_that_is_not_installed_says_how_to_install_it(tiny_llava_path, tmp_path):
    inside = "model.language_model.layers.0.self_attn.q_proj.lora_A"
    adapter = write_adapter(tmp_path / "a", inside)
    settings = EngineSettings(model=str(tiny_llava_path), engine="vllm", adapter=adapter)
    with pytest.raises(MissingPackageError, match=r"(?s)`vllm`.*pip install .*\[vllm\]"):
        make_engine(settings, batch_size=1, cache=tmp_path / "cache")


def test_ray_is_named_where_it_is_missing(tiny_llava_path, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = EngineSettings(model=str(tiny_llava_path), engine="ray")
    with pytest.raises(MissingPackageError, match=r"(?s)`ray`.*pip install .*\[ray\]"):
        make_engine(settings, batch_size=1, cache=tmp_path / "cache")


def test_a_model_without_weights_asks_what_the_whole_one_asks(tiny_llava_path):
    from miniatures import picture
    from veridical.models.prompts.encoding import encode_prompts

    light, whole = load_without_weights(tiny_llava_path), load_model(tiny_llava_path, device="cpu")
    assert {one.device.type for one in light.model.parameters()} == {"meta"}
    assert light.end_token_ids == whole.end_token_ids
    assert light.placeholder_token_ids == whole.placeholder_token_ids
    ours, theirs = (encode_prompts(vlm, ["Hm?"], [picture(0)]) for vlm in (light, whole))
    assert all(bool((ours[name] == theirs[name]).all()) for name in theirs)
