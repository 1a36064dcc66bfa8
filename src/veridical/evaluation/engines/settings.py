"""Which model answers, and who runs it: what `generate` and `evaluate` ask of an engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from veridical.config import Recipe
from veridical.judges.settings import check_address
from veridical.models.prompts.settings import ProcessorRecipe


class VllmSection(Recipe):
    """How vLLM runs in this process."""

    memory_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the device's memory that vLLM may take, weights and cache together."""
    max_model_len: int = Field(default=0, ge=0)
    """Longest prompt with its response in tokens; 0: what the model can read."""
    max_images: int = Field(default=1, ge=1)
    """Most images of a prompt."""
    eager: bool = False
    """Do without captured graphs: vLLM starts sooner and decodes slower."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Further arguments of `vllm.LLM`, for instance tensor_parallel_size = 2."""


class RaySection(Recipe):
    """How Ray spreads the work."""

    engine: Literal["hf", "vllm", "openai"] = "hf"
    """What each worker answers with."""
    workers: int = Field(default=2, ge=1)
    """Workers, each with a model of its own or a connection to the server."""
    cpus: float = Field(default=1.0, gt=0)
    """Processor cores that a worker takes."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs that a worker takes; a fraction where workers share one."""
    address: str = ""
    """Address of the cluster, for instance "auto" on one of its machines. Empty: a cluster is
    started on this machine for the time of the run. Workers must see the model and the images under
    the same paths."""


class EngineSettings(Recipe):
    """A model and who runs it."""

    model: str = Field(min_length=1)
    """Folder or hub id of the model; "world" is the embedded world's base model; at a server its
    name there."""
    adapter: str = ""
    """Folder of a LoRA adapter to put on the model. Empty: none. A vLLM server must be able to read
    it, and to load adapters while it runs."""
    engine: Literal["hf", "vllm", "openai", "ray"] = "hf"
    """Who generates: "hf" is `transformers` in this process; "vllm" is vLLM, in this process or,
    with a `url`, at a server; "openai" is any OpenAI-compatible server; "ray" is many workers with
    one of these each. With a `url` and nothing else: "openai"."""
    url: str = ""
    """Base address of a server that runs the model, ending in /v1. Empty: it is loaded here."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key; a local server needs none."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Requests to the server at a time."""
    timeout: float = Field(default=120.0, gt=0)
    """Longest wait for one answer of the server, in seconds."""
    attempts: int = Field(default=6, ge=1)
    """How often one request to the server is tried."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of every request to the server, for instance repetition_penalty = 1.0."""
    price_in: float | None = Field(default=None, ge=0)
    """Price of a million tokens that the server reads, in USD."""
    price_out: float | None = Field(default=None, ge=0)
    """Price of a million tokens that the server writes, in USD."""
    vllm: VllmSection = VllmSection()
    """How vLLM runs in this process."""
    ray: RaySection = RaySection()
    """How Ray spreads the work, where the engine is "ray". A shard of `save_every` prompts is one
    job, for which each worker loads the model: take many prompts."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights; "auto" is the checkpoint's (float32 on a CPU)."""
    device: str = "auto"
    """Where "hf" computes: "auto", "cpu", "cuda" …"""
    processor: ProcessorRecipe | None = None
    """System message, options of the chat template, sizes of images. Left out: those that the model
    was trained with; others are used, and the difference is reported."""
    trust_remote_code: bool = False
    """Run code that the model's repository carries. Only after reading it."""

    @model_validator(mode="before")
    @classmethod
    def _a_url_means_a_server(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("url") and "engine" not in values:
            return {**values, "engine": "openai"}
        return values

    @model_validator(mode="after")
    def _engine_fits(self) -> Self:
        check_address(self.url)
        if self.engine == "ray":
            self.inner()
        if self.engine == "hf" and self.url:
            raise ValueError('`url` needs `engine = "openai"` or "vllm": "hf" loads the model here')
        if self.engine == "openai" and not self.url:
            raise ValueError('`engine = "openai"` needs the `url` of the server')
        if self.engine == "openai" and self.adapter:
            raise ValueError(
                "an endpoint runs its own weights: leave out `adapter`, or serve the model with it"
                ' (a vLLM server takes one with `engine = "vllm"`)'
            )
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("`price_in` and `price_out` come together, USD per million tokens")
        return self

    def inner(self) -> "EngineSettings":
        """The same as each worker of Ray takes it."""
        own = {name: getattr(self, name) for name in EngineSettings.model_fields}
        return EngineSettings.model_validate(own | {"engine": self.ray.engine})

    @property
    def served_name(self) -> str:
        """What answers are marked with where a server or vLLM runs the model."""
        return f"{self.model}+{self.adapter}" if self.adapter else self.model

    @property
    def adapter_folder(self) -> Path | None:
        """The adapter's folder; None without one."""
        return Path(self.adapter) if self.adapter else None
