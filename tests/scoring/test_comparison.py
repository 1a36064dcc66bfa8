"""Two runs on one benchmark: paired, corrected, and plain about what cannot be told."""

import json

import pytest
from scipy import stats

from veridical.errors import ConfigError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


def run(folder, name, answers, *, images, variant="official", skip=()):
    questions, responses = folder / f"{name}-questions.jsonl", folder / f"{name}.jsonl"
    kept = [i for i in range(len(answers)) if i not in skip]
    rows = [
        {"question_id": i, "image": images[i], "text": "?", "label": "yes" if i % 2 else "no"}
        for i in kept
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    responses.write_text(
        "\n".join(json.dumps({"question_id": i, "answer": answers[i]}) for i in kept)
    )
    return score("pope", Files(responses=responses, questions=questions), variant=variant)


def right(i):
    return "Yes" if i % 2 else "No"


def wrong(i):
    return "No" if i % 2 else "Yes"


def test_accuracy_of_lone_questions_is_tested_by_mcnemar(tmp_path):
    images = [f"{i}.jpg" for i in range(40)]
    first = run(tmp_path, "a", [wrong(i) if i < 12 else right(i) for i in range(40)], images=images)
    second = run(tmp_path, "b", [wrong(i) if i < 2 else right(i) for i in range(40)], images=images)
    accuracy = compare_scores(first, second)["accuracy"]
    assert (accuracy.first, accuracy.second, accuracy.difference.n) == (0.7, 0.95, 40)
    # By hand: ten answers changed, all for the better.
    assert accuracy.difference.p == pytest.approx(2 * 0.5**10)
    assert accuracy.difference.p == pytest.approx(stats.binomtest(10, 10).pvalue)
    assert accuracy.difference.test == "mcnemar exact"
    assert accuracy.corrected_p == pytest.approx(5 * accuracy.difference.p, rel=1)
    assert accuracy.is_shown
    assert accuracy.note == ""


def test_questions_of_one_image_are_swapped_together(tmp_path):
    images = ["one.jpg"] * 20 + ["two.jpg"] * 20
    first = run(tmp_path, "a", [wrong(i) for i in range(40)], images=images)
    second = run(tmp_path, "b", [right(i) for i in range(40)], images=images)
    accuracy = compare_scores(first, second)["accuracy"]
    # Forty answers changed, but on two images only: of the four ways to swap them, two are as far
    # apart.
    assert (accuracy.difference.n, accuracy.difference.p) == (2, 0.5)
    assert not accuracy.is_shown


def test_what_is_not_shown_says_what_it_would_take(tmp_path):
    images = [f"{i}.jpg" for i in range(40)]
    first = run(tmp_path, "a", [wrong(i) if i < 4 else right(i) for i in range(40)], images=images)
    second = run(
        tmp_path, "b", [wrong(i) if 3 <= i < 6 else right(i) for i in range(40)], images=images
    )
    accuracy = compare_scores(first, second)["accuracy"]
    assert "40 items cannot tell 92.5 % from 90.0 %" in accuracy.note
    assert "would be needed" in accuracy.note


def test_runs_are_paired_on_the_items_that_both_have(tmp_path):
    images = [f"{i}.jpg" for i in range(10)]
    first = run(tmp_path, "a", [right(i) for i in range(10)], images=images)
    second = run(tmp_path, "b", [right(i) for i in range(10)], images=images, skip=(0, 1))
    assert compare_scores(first, second)["accuracy"].difference.n == 8
    with pytest.raises(ConfigError, match="share no item"):
        compare_scores(
            run(tmp_path, "c", ["Yes"] * 4, images=images, skip=(0, 1)),
            run(tmp_path, "d", ["Yes"] * 4, images=images, skip=(2, 3)),
        )


def test_ways_of_counting_do_not_mix(tmp_path):
    images = [f"{i}.jpg" for i in range(4)]
    first = run(tmp_path, "a", ["Yes"] * 4, images=images)
    second = run(tmp_path, "b", ["Yes"] * 4, images=images, variant="strict")
    with pytest.raises(ConfigError, match="on one variant, got 'official' and 'strict'"):
        compare_scores(first, second)


def test_amber_halves_are_compared_apart_from_their_dimensions(tmp_path):
    (tmp_path / "annotations.json").write_text(
        json.dumps(
            [
                {"id": i, "type": "generative", "truth": ["dog"], "hallu": ["cat"]}
                for i in range(1, 13)
            ]
            + [{"id": i, "type": "relation", "truth": "no"} for i in range(13, 25)]
        )
    )
    (tmp_path / "relation.json").write_text(json.dumps({"dog": [], "cat": []}))
    (tmp_path / "safe_words.txt").write_text("")

    def scored(description, answer):
        path = tmp_path / f"{description}-{answer}.json"
        path.write_text(
            json.dumps(
                [{"id": i, "response": description if i < 13 else answer} for i in range(1, 25)]
            )
        )
        return score(
            "amber", Files(responses=path, reference=tmp_path), options={"nouns": "lexicon"}
        )

    found = compare_scores(scored("a dog and a cat", "Yes"), scored("a dog", "No"))
    assert {"chair", "hal", "accuracy", "accuracy/relation"} <= set(found)
    assert "amber_score" not in found
    assert (found["chair"].first, found["chair"].second) == (0.5, 0.0)
    assert found["hal"].difference.p == pytest.approx(2 * 0.5**12)
