"""A vLLM server: an OpenAI-compatible one that also takes adapters while it runs.

Start it with `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; it must see the adapter's
folder under the same path.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.errors import MissingPackageError, ModelError
from veridical.evaluation.engines.endpoint import EndpointEngine
from veridical.evaluation.engines.protocol import Decoding, identify, require_adapter
from veridical.evaluation.engines.settings import EngineSettings
from veridical.judges.completions import JsonObject
from veridical.models.adapter_files import require_decoder_adapter
from veridical.records import Prompt, Response


class VllmServerEngine(EndpointEngine):
    """A model at a vLLM server, with an adapter that is loaded there under a name of its own.

    Raises:
        ModelError: The adapter is not there, or reaches beyond the language model.
    """

    def __init__(self, settings: EngineSettings, *, cache: Path, name: str = "") -> None:
        super().__init__(settings, cache=cache, name=name)
        require_adapter(settings.adapter)
        self._hash = ""
        if settings.adapter:
            require_decoder_adapter(Path(settings.adapter), engine="vLLM")
            self._hash = identify(settings.adapter, "")
        self._ready = False
        self._special: bool | None = None

    @property
    def identity(self) -> str:
        """Name and address, and the adapter's hash."""
        return super().identity + (f" + {self._hash}" if self._hash else "")

    @property
    def model(self) -> str:
        """The adapter's name at the server, else the model's."""
        return f"{self.settings.model}+{self._hash}" if self._hash else self.settings.model

    def extra(self) -> Mapping[str, object]:
        """Whether the server adds what begins a prompt, which its chat interface leaves out."""
        return {"add_special_tokens": bool(self._special), **self.settings.extra}

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Ask what is not kept; the adapter is loaded first."""
        if not self._ready:
            if self._hash:
                self._load_adapter()
            self._special = self._needs_special_tokens()
            self._ready = True
        return super().answer(prompts, decoding, seed=seed)

    def close(self) -> None:
        """Take the adapter off the server."""
        super().close()
        if self._ready and self._hash:
            self._post("/v1/unload_lora_adapter", {"lora_name": self.model}, refused="")
        self._ready = False

    def _load_adapter(self) -> None:
        folder = str(Path(self.settings.adapter).absolute())
        self._post(
            "/v1/load_lora_adapter",
            {"lora_name": self.model, "lora_path": folder},
            refused=(
                f"did not load the adapter `{folder}`. Start it with --enable-lora and"
                " VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, where it can read that folder"
            ),
        )

    def _needs_special_tokens(self) -> bool:
        """Whether special tokens must be asked for: not where the template writes them itself."""
        body = {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": "Hm?"}],
            "add_special_tokens": True,
        }
        reply = self._post("/tokenize", body, refused="does not tokenize; is it a vLLM server?")
        tokens = reply.get("tokens")
        return isinstance(tokens, list) and len(tokens) > 1 and tokens[0] != tokens[1]

    def _post(self, path: str, body: JsonObject, *, refused: str) -> JsonObject:
        """Send something to the server itself.

        Raises:
            ModelError: It refuses, unless the reason is that an adapter is loaded already.
        """
        try:
            import httpx2
        except ImportError as error:
            raise MissingPackageError("httpx2", extra="judge", purpose="A vLLM server") from error
        import os

        root = self.settings.url.rstrip("/").removesuffix("/v1")
        key = os.environ.get(self.settings.key_variable, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            reply = httpx2.post(
                root + path, json=body, headers=headers, timeout=self.settings.timeout
            )
        except httpx2.HTTPError as error:
            raise ModelError(
                f"The server {root} does not answer: {type(error).__name__}: {error}. Start it, or"
                " give its address as `url`."
            ) from error
        if reply.is_success:
            try:
                value = reply.json()
            except ValueError:  # an adapter's request is answered with a sentence
                value = {}
            return value if isinstance(value, dict) else {}
        if not refused or "already" in reply.text:
            return {}
        raise ModelError(
            f"The server {root} {refused} (HTTP {reply.status_code}: {reply.text[:200]})."
        )
