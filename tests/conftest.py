"""Fixtures that several folders of tests share."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something of the machine and nothing of the code.
settings.register_profile("veridical", deadline=None)
settings.load_profile("veridical")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny_llava_path(tmp_path_factory) -> Path:
    """A random LLaVA-1.5 miniature on disk."""
    from miniatures import tiny_llava

    return tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="session")
def tiny_qwen2_5_vl_path(tmp_path_factory) -> Path:
    """A random Qwen2.5-VL miniature on disk."""
    from miniatures import tiny_qwen2_5_vl

    return tiny_qwen2_5_vl(tmp_path_factory.mktemp("models") / "tiny-qwen2-5-vl")
