"""Load pattern's `singularize` from its file alone: the package's own start-up needs far more."""

import importlib.util
import sys
import types
from importlib import metadata


def _load() -> types.ModuleType:
    path = metadata.distribution("PatternLite").locate_file("pattern/text/en/inflect.py")
    stand_in = types.ModuleType("pattern.text")
    stand_in.__getattr__ = lambda _: (
        object
    )  # the file takes names for verbs from there, which are not used here
    sys.modules.setdefault("pattern", types.ModuleType("pattern"))
    sys.modules["pattern.text"] = stand_in
    spec = importlib.util.spec_from_file_location("pattern_inflect", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except TypeError:
        if not hasattr(module, "singularize"):  # the verbs below it cannot be made from a stand-in
            raise
    finally:
        del sys.modules["pattern.text"], sys.modules["pattern"]
    return module


_INFLECT = _load()
singularize = _INFLECT.singularize


def irregular_plurals() -> list[str]:
    """Plurals that are listed one by one."""
    return sorted(_INFLECT.singular_irregular)
