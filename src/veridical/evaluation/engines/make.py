"""The engine that a recipe asks for."""

from pathlib import Path

from veridical.evaluation.engines.endpoint import EndpointEngine
from veridical.evaluation.engines.hf import HfEngine
from veridical.evaluation.engines.protocol import Engine
from veridical.evaluation.engines.ray import RayEngine
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.engines.vllm import VllmEngine
from veridical.evaluation.engines.vllm_server import VllmServerEngine


def make_engine(
    settings: EngineSettings, *, batch_size: int, cache: Path, name: str = ""
) -> Engine:
    """Make the engine of a model; nothing is loaded or asked yet.

    Args:
        settings: The model and who runs it.
        batch_size: Prompts at a time, where "hf" runs it.
        cache: Folder of a server's answers.
        name: What answers are marked with. Empty: the model's own name.

    Raises:
        ModelError: The model or the adapter is not where the recipe says, or the engine cannot run
            the adapter.
        MissingPackageError: The engine is not installed.
    """
    if settings.engine == "ray":
        inner = make_engine(settings.inner(), batch_size=batch_size, cache=cache, name=name)
        return RayEngine(settings, inner=inner, batch_size=batch_size, name=name)
    if settings.engine == "hf":
        return HfEngine(settings, batch_size=batch_size, name=name)
    if settings.engine == "openai":
        return EndpointEngine(settings, cache=cache, name=name)
    if settings.url:
        return VllmServerEngine(settings, cache=cache, name=name)
    return VllmEngine(settings, name=name)
