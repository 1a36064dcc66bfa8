"""The miniatures, loaded once; a test that changes weights loads its own."""

import pytest

from veridical.models.loading import load_model


@pytest.fixture(scope="session")
def llava(tiny_llava_path):
    return load_model(tiny_llava_path, device="cpu")


@pytest.fixture(scope="session")
def qwen(tiny_qwen2_5_vl_path):
    return load_model(tiny_qwen2_5_vl_path, device="cpu")


@pytest.fixture(params=["llava", "qwen"])
def vlm(request):
    """Both miniatures, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def own_llava(tiny_llava_path):
    """A LLaVA of the test's own, to change as it likes."""
    return load_model(tiny_llava_path, device="cpu")
