from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from veridical.validation import findings


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    engine: Literal["HF", "vLLM"]

    @model_validator(mode="after")
    def _fits(self):
        if self.engine == "vLLM":
            raise ValueError("vLLM is not here")
        return self


class Outer(BaseModel):
    inner: tuple[Inner, ...] = ()


@pytest.mark.parametrize(
    ("data", "where", "text"),
    [
        ({"inner": [{}]}, "inner.0.engine", "is missing"),
        ({"inner": [{"engine": "HF", "x": 1}]}, "inner.0.x", "unknown key"),
        (
            {"inner": [{"engine": "hf"}]},
            "inner.0.engine",
            "input should be 'HF' or 'vLLM', got 'hf'",
        ),
        ({"inner": [{"engine": "vLLM"}]}, "inner.0", "vLLM is not here, got {'engine': 'vLLM'}"),
        (7, "", "input should be a valid dictionary or instance of Outer, got 7"),
    ],
)
def test_a_finding_says_where_what_and_what_we_got(data, where, text):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    (finding,) = findings(caught.value)
    assert (finding.where, finding.text) == (where, text)


class Several(BaseModel):
    inner: tuple[Inner, ...] = Field(min_length=1)


@pytest.mark.parametrize(
    ("given", "places"), [([{"engine": "vLLM"}], ["inner.0"]), ([], ["inner"])]
)
def test_a_list_is_too_short_only_if_too_little_was_given(given, places):
    with pytest.raises(ValidationError) as caught:
        Several.model_validate({"inner": given})
    assert [finding.where for finding in findings(caught.value)] == places


def test_long_values_are_cut():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": "x" * 1000})
    (finding,) = findings(caught.value)
    assert len(finding.text) < 120
    assert finding.text.endswith("…")
