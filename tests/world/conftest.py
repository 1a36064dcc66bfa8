"""What several tests of the world share."""

import pytest

from veridical.world.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    """A tokenizer of the world's words, trained on few texts."""
    return train_tokenizer(0, scenes=300)
