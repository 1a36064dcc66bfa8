"""A model that vLLM holds, and what it is asked.

Prompts are rendered and their answers read by the code that does it for "hf", and the token ids
that vLLM reads are compared with those that `transformers` reads, so that both answer the same
question.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from veridical.errors import MissingPackageError, ModelError
from veridical.evaluation.engines.protocol import Decoding, open_pictures
from veridical.evaluation.engines.settings import EngineSettings
from veridical.files import JsonObject
from veridical.records import Prompt

if TYPE_CHECKING:
    from PIL.Image import Image

    from veridical.models.loading import VisionLanguageModel

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""
_SEEDS = 2**31
_NEVER = -100.0
"""Bias of tokens that are never chosen: the lowest that vLLM takes."""


class Question(NamedTuple):
    """One prompt for vLLM."""

    text: str
    """What is asked, rendered by the model's template."""
    images: "Sequence[Image]"
    """The pictures, in order."""


def ask(vlm: "VisionLanguageModel", prompt: Prompt) -> Question:
    """Render a prompt, whose image paths are absolute, by the model's template."""
    from veridical.models.prompts.rendering import render_turns

    pictures = open_pictures(prompt)
    text = render_turns(vlm, prompt.turns, num_images=len(pictures), system=prompt.system)
    return Question(text, pictures)


class Sampling(NamedTuple):
    """How one response is sampled."""

    decoding: Decoding
    """Length and temperature."""
    seed: int
    """Decides it, where the temperature is above 0."""
    forbidden: Sequence[int]
    """Token ids that are never chosen."""


class Said(NamedTuple):
    """One response of vLLM."""

    token_ids: list[int]
    """Its tokens, the end token included where it came."""
    logprobs: list[float]
    """Log-probability of each under the distribution that it was sampled from, in nats."""


class VllmModel:
    """A model that vLLM holds.

    Args:
        settings: The model and how vLLM runs.
        path: Folder or hub id of the model.
        vlm: The model's processor and config; its weights are not used.
        max_rank: Highest rank of an adapter; 0: there will be none.

    Raises:
        MissingPackageError: vLLM is not installed.
        ModelError: vLLM cannot run the model.
    """

    def __init__(
        self, settings: EngineSettings, *, path: str, vlm: "VisionLanguageModel", max_rank: int
    ) -> None:
        require_vllm()
        from vllm import LLM

        section, self._vlm, self._checked = settings.vllm, vlm, False
        options: JsonObject = {
            "model": path,
            # vLLM's own "auto" would take half precision for a checkpoint in float32.
            "dtype": _stored_dtype(vlm) if settings.dtype == "auto" else settings.dtype,
            "trust_remote_code": settings.trust_remote_code,
            "gpu_memory_utilization": section.memory_share,
            "enforce_eager": section.eager,
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"image": section.max_images},
            "logprobs_mode": "processed_logprobs",
            "seed": 0,
        }
        if vlm.settings.images:  # what vLLM then reads is compared with what transformers reads
            options["mm_processor_kwargs"] = vlm.settings.images
        if section.max_model_len:
            options["max_model_len"] = section.max_model_len
        if max_rank:
            room = next((rank for rank in _RANKS if rank >= max_rank), _RANKS[-1])
            options |= {"enable_lora": True, "max_lora_rank": room, "max_loras": 1}
        try:
            self._llm: Any = LLM(**(options | section.options))
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(
                f"vLLM cannot run `{path}`: {first[0][:300]}. Set options in the recipe's section"
                ' `vllm`, or use engine = "hf".'
            ) from error

    def say(
        self,
        questions: Sequence[Question],
        samplings: Sequence[Sequence[Sampling]],
        *,
        adapter: "Adapter | None" = None,
    ) -> list[list[Said]]:
        """Answer questions, each as often as it has samplings.

        Args:
            questions: What is asked.
            samplings: For each question how its responses are sampled.
            adapter: The adapter to answer with; None is the bare model.

        Raises:
            ModelError: vLLM reads other tokens than `transformers` does.
        """
        from vllm.lora.request import LoRARequest

        request = (
            LoRARequest(adapter.name, adapter.number, str(adapter.folder)) if adapter else None
        )
        inputs, parameters = [], []
        for question, own in zip(questions, samplings, strict=True):
            given = self._input(question)
            for sampling in own:
                inputs.append(given)
                parameters.append(self._parameters(sampling))
        found = self._llm.generate(inputs, parameters, lora_request=request, use_tqdm=False)
        self._check(questions, found, len(samplings[0]) if samplings else 0)
        said = iter(
            Said(
                list(one.outputs[0].token_ids),
                [
                    step[token].logprob
                    for token, step in zip(
                        one.outputs[0].token_ids, one.outputs[0].logprobs or [], strict=True
                    )
                ],
            )
            for one in found
        )
        return [[next(said) for _ in own] for own in samplings]

    def close(self) -> None:
        """Release the memory."""
        self._llm = None
        gc.collect()

    def _input(self, question: Question) -> JsonObject:
        from veridical.models.prompts.pictures import as_shown

        vlm = self._vlm
        tokenizer = vlm.tokenizer
        begin = tokenizer.bos_token
        special = not (begin and question.text.startswith(begin))
        ids = tokenizer(question.text, add_special_tokens=special)["input_ids"]
        given: JsonObject = {"prompt_token_ids": ids}
        if question.images:
            given["multi_modal_data"] = {
                "image": [as_shown(one, vlm.processor, vlm.settings) for one in question.images]
            }
        return given

    def _parameters(self, sampling: Sampling) -> Any:
        from vllm import SamplingParams

        decoding = sampling.decoding
        return SamplingParams(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_tokens=decoding.max_new_tokens,
            seed=sampling.seed % _SEEDS if decoding.temperature > 0 else None,
            stop_token_ids=list(self._vlm.end_token_ids),
            logit_bias=dict.fromkeys(sampling.forbidden, _NEVER),
            logprobs=0,
            detokenize=False,
        )

    def _check(self, questions: Sequence[Question], found: Sequence[Any], samples: int) -> None:
        """Compare the tokens of the first prompt that has an image, once."""
        from veridical.models.prompts.encoding import encode_rendered

        number = next((n for n, one in enumerate(questions) if one.images), None)
        if self._checked or number is None or not samples:
            return
        self._checked = True
        ours = encode_rendered(self._vlm, [questions[number].text], [questions[number].images])
        expected = ours["input_ids"][0].tolist()
        theirs = list(found[number * samples].prompt_token_ids)
        if theirs != expected:
            raise ModelError(
                f"vLLM reads a prompt of {len(theirs)} tokens where transformers reads"
                f" {len(expected)}, or other ones: its answers would be to another question. Use"
                ' engine = "hf" for this model.'
            )


class Adapter(NamedTuple):
    """An adapter under a name and number of its own."""

    name: str
    """A new one for new weights."""
    number: int
    """From 1; another for each name."""
    folder: Path
    """Where PEFT saved it."""


def _stored_dtype(vlm: "VisionLanguageModel") -> str:
    config = vlm.model.config
    stored = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    return str(stored or "float32").removeprefix("torch.")


def require_vllm() -> None:
    """Refuse to go on without vLLM.

    Raises:
        MissingPackageError: It is not installed.
    """
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise MissingPackageError("vllm", extra="vllm", purpose='engine = "vllm"')
