"""What holds for every shipped recipe of a training, whatever its method."""

from pathlib import Path

import veridical
from veridical.config import load_recipe

FOLDER = Path(veridical.__file__).parent / "recipes"


def recipes_of(method):
    """Files of a method's shipped recipes for LLaVA and the world; others have their own tests."""
    found = sorted(FOLDER.rglob(f"{method}-*.toml"))
    return [path for path in found if any(name in path.stem for name in ("-llava-", "-world"))]


def check_head(path, method):
    """It says what it was run on, how to run it and what it takes."""
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    for word in (
        "Tested",
        f"veridical train {method} {path.stem} ",
        "One override",
        "AdamW",
        "ctivations",
    ):
        assert word in head, word


def with_settings(path, kind, settings):
    """A recipe with settings of a miniature's size; all others must stay as they are shipped."""
    mine = {"model.device": "cpu", "model.quantization": "none", **settings}
    asked = load_recipe(path, kind)
    changed = load_recipe(path, kind, overrides=[f"{name}={value}" for name, value in mine.items()])
    for section in kind.model_fields:
        ours = {name.split(".")[1] for name in mine if name.startswith(f"{section}.")}
        shipped, kept = getattr(asked, section), getattr(changed, section)
        if ours:
            shipped, kept = (one.model_dump(exclude=ours) for one in (shipped, kept))
        assert kept == shipped, section
    return changed
