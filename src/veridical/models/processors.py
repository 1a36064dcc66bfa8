"""A model's processor: loaded without its video part, checked, saved whole.

Video processors need torchvision; images do not. A processor is therefore built without its video
part, whose settings are kept and written again when the processor is saved, so that what a training
run leaves loads with `AutoProcessor` like the original.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

from transformers import AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.hub import PushToHubMixin, cached_file

from veridical.errors import ModelError

Processor = Any
"""A `ProcessorMixin` with an image processor, a fast tokenizer and a chat template."""

READING = RLock()
"""Held while a processor or tokenizer reads: batches are made in a thread of their own, and a fast
tokenizer that two threads change at once raises "Already borrowed"."""
_EXTRAS = ("torchvision", "num2words", "timm")
"""Packages that some processors and towers need beyond `veridical[train]`."""


class VideoSettings(PushToHubMixin):  # type: ignore[misc, unused-ignore]
    """Stands in for a video processor: nothing but its settings, to be saved again."""

    _auto_class = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self.font: str = settings.get("font") or ""  # a file that some processors copy

    def __getattr__(self, name: str) -> Any:
        """A setting by its name, as processors read some; None where it is not given."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self._settings.get(name)

    def to_dict(self) -> dict[str, Any]:
        """The settings, as they were read."""
        return dict(self._settings)


def image_only_processor(processor_type: type) -> Any:
    """Give the processor class without its video part; it keeps its name and its saved form."""
    parent: Any = processor_type

    class Parts(parent):  # type: ignore[misc]
        """Knows which parts to load."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in parent.get_attributes() if name != "video_processor"]

    class ImageOnly(parent):  # type: ignore[misc]
        @classmethod
        def _get_arguments_from_pretrained(
            cls, name: str, processor_dict: dict[str, Any] | None = None, **options: Any
        ) -> list[Any]:
            parts = Parts._get_arguments_from_pretrained(name, processor_dict, **options)
            place = parent.get_attributes().index("video_processor")
            return [*parts[:place], VideoSettings(_video_settings(name)), *parts[place:]]

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return VideoSettings
            return super().check_argument_for_proper_class(argument_name, argument)

    ImageOnly.__name__ = ImageOnly.__qualname__ = processor_type.__name__
    ImageOnly.__module__ = processor_type.__module__
    return ImageOnly


def load_processor(name: str, config: Any, *, trust_remote_code: bool) -> Processor:
    """Load and check a model's processor; its tokenizer pads on the left.

    Raises:
        ModelError: Files or packages are missing, there is no chat template, or no fast tokenizer.
    """
    try:
        with_video = _class_with_video(config)
        if with_video is not None:
            processor = image_only_processor(with_video).from_pretrained(name)
        else:
            processor = AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise ModelError(missing_package(f"The processor of `{name}`", error)) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"Cannot load the processor of `{name}`: {first_line(error)}. "
            "The folder must hold tokenizer and image processor files next to the weights."
        ) from error
    _check(name, processor)
    processor.tokenizer.padding_side = "left"
    return processor


def _class_with_video(config: Any) -> type | None:
    """The processor class of an architecture, where it has a video part that can be left out."""
    try:
        known: Any = PROCESSOR_MAPPING.get(type(config), None)
        return known if known is not None and "video_processor" in known.get_attributes() else None
    except ImportError:  # the class itself needs a package: AutoProcessor says which
        return None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without its full stop."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def missing_package(what: str, error: ImportError) -> str:
    """Say which package something needs, and how to install it."""
    text = str(error)
    missing = [package for package in _EXTRAS if package in text.lower() and not find_spec(package)]
    way_out = f"pip install {' '.join(missing)}" if missing else "Install what it names"
    return (
        f"{what} needs a package that is not installed:"
        f" {', '.join(missing) or first_line(error)}. {way_out}."
    )


def _video_settings(name: str) -> dict[str, Any]:
    """Read a video processor's settings, from where transformers keeps them now or kept them."""
    nested = read_json_of(name, "processor_config.json").get("video_processor")
    return nested or read_json_of(name, "video_preprocessor_config.json")


def read_json_of(name: str, file: str) -> dict[str, Any]:
    """Read a JSON object of a folder or a hub repository; empty where there is no such file."""
    found = cached_file(
        name,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    content = json.loads(Path(found).read_text(encoding="utf-8")) if found else {}
    return content if isinstance(content, dict) else {}


def _check(name: str, processor: Processor) -> None:
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not hasattr(processor, "image_processor"):
        raise ModelError(
            f"`{name}` has no processor with tokenizer and image processor, got"
            f" {type(processor).__name__}. Save the model's processor next to its weights."
        )
    if not tokenizer.is_fast:
        raise ModelError(
            f"`{name}` has a slow tokenizer ({type(tokenizer).__name__}), which gives no character"
            " offsets. Convert it to a tokenizer.json."
        )
    if not (getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)):
        raise ModelError(
            f"`{name}` has no chat template, so prompts cannot be laid out as in its training. Put"
            " a chat_template.jinja next to the model; instruction-tuned versions usually have"
            " one."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
