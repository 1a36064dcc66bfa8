"""The two steps that depend on spaCy, run by spaCy with small pipelines built here.

Skipped where spaCy is not installed; Veridical does not depend on it.
"""

import sys

import pytest

from official_data import write_lines
from veridical.benchmarks.amber.words import spacy_is_there, spacy_similarity, word_versions
from veridical.benchmarks.coco.extraction import analysed_objects, load_spacy
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

spacy = pytest.importorskip("spacy")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a pipeline under a name, as `python -m spacy download` leaves one."""

    def installed(name, pipeline):
        folder = tmp_path / "site"
        (folder / name).mkdir(parents=True)
        pipeline.to_disk(folder / name / "pipeline")
        (folder / name / "__init__.py").write_text(
            "from pathlib import Path\nimport spacy\n\n\ndef load(**settings):\n    return"
            " spacy.load(Path(__file__).parent / 'pipeline', **settings)\n"
        )
        info = folder / f"{name}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield installed
    for name in ("en_core_web_lg", "en_core_web_trf"):
        sys.modules.pop(name, None)


def test_amber_compares_words_by_the_cosine_of_spacys_vectors(install):
    import numpy

    pipeline = spacy.blank("en")
    for word, vector in {"dog": (1, 0), "puppy": (0.9, 0.1), "sky": (0, 1)}.items():
        pipeline.vocab.set_vector(word, numpy.array(vector, dtype="float32"))
    install("en_core_web_lg", pipeline)
    assert spacy_is_there()
    similarity = spacy_similarity()
    assert similarity("dog", "puppy") == pytest.approx(0.9 / (0.81 + 0.01) ** 0.5, abs=1e-5)
    assert similarity("dog", "sky") == pytest.approx(0, abs=1e-6)
    assert similarity("dog", "dog") == pytest.approx(1)
    versions = word_versions(nouns="lexicon", similarity="spacy")
    assert (versions["spacy"], versions["vectors"]) == (spacy.__version__, "en_core_web_lg 1.2.3")


def tagging_pipeline():
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("attribute_ruler")
    words = {
        "a": ("a", "DT"),
        "two": ("two", "CD"),
        "brown": ("brown", "JJ"),
        "dogs": ("dog", "NNS"),
        "wine": ("wine", "NN"),
        "glasses": ("glass", "NNS"),
        "table": ("table", "NN"),
    }
    for word, (lemma, tag) in words.items():
        ruler.add([[{"ORTH": word}]], {"LEMMA": lemma, "TAG": tag})
    return pipeline


def test_object_halbench_makes_names_singular_by_spacys_lemmas_and_tags(install, tmp_path):
    install("en_core_web_trf", tagging_pipeline())
    assert analysed_objects(["brown dogs", "two wine glasses table", "dogs"], load_spacy()) == (
        "dog",
        "wine glass",
    )
    responses = write_lines(
        tmp_path / "a.jsonl",
        [
            {
                "image_id": 1,
                "question": "What?",
                "answer": "I see two dogs here.",
                "extraction": '["two dogs"]',
            }
        ],
    )
    (tmp_path / "truth.json").write_text('{"1": ["cat"]}')
    scored = score(
        "object-halbench", Files(responses, reference=tmp_path / "truth.json"), variant="official"
    )
    assert [item.parsed for item in scored.items] == ["dog · not there: dog"]
