"""Facts found by prompt id: those for the very prompt first, then those of its image.

The released code of LLaVA-RLHF (arXiv 2309.14525) keys facts by image alone, so that rationales of
two questions about one image overwrite each other. Here a fact may belong to one prompt, and then
to no other.
"""

from collections.abc import Iterable

from veridical.records import Facts, Prompt


class FactsIndex:
    """Finds the facts of a prompt."""

    def __init__(self, facts: Iterable[Facts]) -> None:
        """Sort facts by prompt and by image; their order is kept."""
        self._by_prompt: dict[str, list[Facts]] = {}
        self._by_image: dict[str, list[Facts]] = {}
        for item in facts:
            if item.prompt_id is not None:
                self._by_prompt.setdefault(item.prompt_id, []).append(item)
            else:
                self._by_image.setdefault(item.image_id, []).append(item)

    def of(self, prompt: Prompt) -> tuple[Facts, ...]:
        """Facts known for this prompt, then those of its image; never those for another prompt."""
        own = [
            item
            for item in self._by_prompt.get(prompt.id, ())
            if item.image_id == prompt.known_image
        ]
        return (*own, *self._by_image.get(prompt.known_image, ()))

    def fault(self, prompt: Prompt) -> str | None:
        """Find facts for this prompt that are of another image, so that it never gets them."""
        others = {item.image_id for item in self._by_prompt.get(prompt.id, ())} - {
            prompt.known_image
        }
        return _of_another_image(prompt, min(others)) if others else None


def facts_faults(facts: Facts, prompts: dict[str, Prompt]) -> list[str]:
    """Say why facts are of no use; an empty list means that they are.

    Args:
        facts: What is said to be true of an image.
        prompts: The prompts by id.
    """
    messages = []
    if not facts.texts or any(not text.strip() for text in facts.texts):
        messages.append(
            f"`texts` holds no text or an empty one, got {list(facts.texts)!r:.60}. Give"
            " statements."
        )
    if facts.prompt_id is None:
        return messages
    prompt = prompts.get(facts.prompt_id)
    if prompt is None:
        messages.append(
            f"there is no prompt {facts.prompt_id!r}. Give the prompts that the facts are for."
        )
    elif prompt.known_image != facts.image_id:
        messages.append(_of_another_image(prompt, facts.image_id))
    return messages


def _of_another_image(prompt: Prompt, image_id: str) -> str:
    return (
        f"these facts for prompt {prompt.id!r} are of another image: {image_id!r}, the prompt asks"
        f" about {prompt.known_image!r}. Fix `image_id` or `prompt_id`."
    )
