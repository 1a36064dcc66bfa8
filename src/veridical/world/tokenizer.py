"""The base model's tokenizer: byte-level BPE in which every word of the world is one token.

Byte-level, so that any text goes through it without loss; trained on the world's own sentences.
"""

import random
from collections.abc import Iterator

from transformers import PreTrainedTokenizerFast

from veridical.seeding import child_random
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, describe
from veridical.world.inventory import COLOURS, CONTEXTS, NUMBER_WORDS, OBJECTS, PLACE_PHRASES
from veridical.world.reading import reading_item
from veridical.world.scenes import Scene, sample_scenes
from veridical.world.tasks import QUESTION_TYPES, ask

IMAGE_TOKEN = "<image>"  # noqa: S105 - a placeholder, no secret
END_TOKEN = "</s>"  # noqa: S105 - a marker, no secret
PAD_TOKEN = "<pad>"  # noqa: S105 - a marker, no secret
UNKNOWN_TOKEN = "<unk>"  # noqa: S105 - a marker, no secret

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' }}{% else %}{{ 'ASSISTANT: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}{{ ' ' }}{% else %}{{ '</s>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""LLaVA-1.5's conversation form: `USER: <image>\\nquestion ASSISTANT: answer</s>`."""


def train_tokenizer(seed: int, *, scenes: int = 3000) -> PreTrainedTokenizerFast:
    """Train the tokenizer on sentences of the world.

    Args:
        seed: Root seed of the world.
        scenes: How many scenes to write sentences about.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD_TOKEN, UNKNOWN_TOKEN, END_TOKEN, IMAGE_TOKEN]
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, scenes), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD_TOKEN,
        unk_token=UNKNOWN_TOKEN,
        eos_token=END_TOKEN,
        model_max_length=1024,
        padding_side="left",
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _texts(seed: int, scenes: int) -> Iterator[str]:
    words = [word for item in OBJECTS for word in (item.noun, item.plural)]
    words += [
        *COLOURS,
        *NUMBER_WORDS.values(),
        *(c.name for c in CONTEXTS),
        *PLACE_PHRASES.values(),
    ]
    # Lists make sure of the rare words; a few rounds are enough for the merges to reach whole
    # words.
    yield from [" " + " ".join(words) + "; USER: ASSISTANT: Facts: Description:"] * 50
    yield from DESCRIPTION_QUESTIONS
    rng = child_random(seed, "tokenizer")
    for scene in sample_scenes(seed, "tokenizer", scenes):
        yield f"USER: {describe(scene, rng)} ASSISTANT:"
        yield _question_text(scene, rng)
        yield reading_item(scene, rng, form="list", shuffle=True, rate=0.3).prompt


def _question_text(scene: Scene, rng: random.Random) -> str:
    questions = [ask(scene, question_type, rng) for question_type in QUESTION_TYPES]
    return " ".join(f"USER: {q.text} ASSISTANT: {q.answer}" for q in questions if q is not None)
