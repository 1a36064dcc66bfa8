"""HallusionBench's rates by answer, question and figure, kinds of error, and bias to yes.

The scores' ids are CATEGORY/SUBCATEGORY/SET/FIGURE/QUESTION. Kinds of error follow the decision
tree of the official `utils.py` (`get_eval_pair_all`): language (LH) where the answer ignores the
figure, vision (VI) where it misreads it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure, means, rate_metric
from veridical.statistics import clustered_ratios


class Blame(NamedTuple):
    """What an error comes from; both is mixed, neither means that there is no error."""

    language: bool = False
    """The answer ignores the figure."""
    vision: bool = False
    """The figure is misread."""


def blame(
    category: str, check: str, *, original_check: str = "", altered: bool = False, same: str = ""
) -> Blame | None:
    """Say what an error comes from.

    Args:
        category: "VD" or "VS".
        check: The judge's word on the answer: "0" wrong, "1" right, "2" unclear.
        original_check: The same for the original figure (VD) or none (VS); empty where this is that
            answer.
        altered: Whether the figure is an altered one.
        same: Whether the answer agrees with the original one, "1" or "0"; empty where nobody said.

    Returns:
        None where `same` would decide it.
    """
    if original_check == "":
        if category == "VS":
            return Blame(language=check == "0")
        return Blame(vision=check != "1")
    if check == "1":
        return Blame()
    if category == "VD":
        if original_check != "1" or check == "2":
            return Blame(vision=True)
        return None if same == "" else Blame(language=same == "1", vision=True)
    if check == "2":
        return Blame(language=original_check == "0", vision=True)
    if original_check == "2" or (original_check == "1" and not altered):
        return Blame(vision=True)
    if same == "":
        return None
    if original_check == "0":
        return Blame(language=True, vision=same == "0")
    return Blame(language=same == "1", vision=same == "0")


def hallusionbench_rates(scores: Sequence[ItemScore], *, seed: int) -> dict[str, Metric]:
    """All metrics of the official code.

    Answers without `correct` (nobody could check them) are left out, and so are questions and
    figures that have one.
    """
    figures = [score for score in scores if not _is_without_figure(score)]
    metrics = _accuracies(scores, figures, seed=seed)
    for category in ("VD", "VS"):
        inside = [
            [score for score in some if score.group == category] for some in (scores, figures)
        ]
        if inside[0]:
            by_category = _accuracies(*inside, seed=seed)
            metrics |= {f"{name}/{category}": metric for name, metric in by_category.items()}
    easy = [score for score in scores if not score.values["altered"]]
    hard = [score for score in scores if score.values["altered"]]
    metrics["easy_a_acc"] = _share(easy, _pair, all, seed=seed)
    metrics["hard_a_acc"] = _share(hard, _pair, all, seed=seed)
    metrics["figures_inconsistent"] = _share(
        figures, _figure, lambda right: any(right) and not all(right), seed=seed
    )
    metrics["figures_wrong"] = _share(figures, _figure, lambda right: not any(right), seed=seed)
    metrics["figure_score"] = _share(
        figures, _figure, lambda right: sum(right) / len(right), seed=seed
    )
    checked = [score for score in scores if "correct" in score.values]
    return metrics | _bias(checked, seed=seed) | _errors(checked, seed=seed)


def lmms_rates(scores: Sequence[ItemScore], *, seed: int) -> dict[str, Metric]:
    """The three accuracies as lmms-eval counts them: no figure counts as a figure."""
    return _accuracies(scores, scores, seed=seed)


def accuracy_measures(
    scores: Sequence[ItemScore], *, with_empty_figures: bool
) -> dict[str, Measure]:
    """The three accuracies as sums, for paired tests.

    Args:
        scores: The items.
        with_empty_figures: Whether questions without a figure count as a figure.
    """
    figures = [score for score in scores if with_empty_figures or not _is_without_figure(score)]
    by_pair, by_figure = _grouped(scores, _pair), _grouped(figures, _figure)
    return {
        "a_acc": means(
            [score.values.get("correct") for score in scores], [score.cluster for score in scores]
        ),
        "q_acc": means([_all_right(right) for right in by_pair.answers], by_pair.clusters),
        "f_acc": means([_all_right(right) for right in by_figure.answers], by_figure.clusters),
    }


def _accuracies(
    scores: Sequence[ItemScore], figures: Sequence[ItemScore], *, seed: int
) -> dict[str, Metric]:
    checked = [score for score in scores if "correct" in score.values]
    return {
        "a_acc": rate_metric(
            [s.values["correct"] for s in checked], [s.cluster for s in checked], seed=seed
        ),
        "q_acc": _share(scores, _pair, all, seed=seed),
        "f_acc": _share(figures, _figure, all, seed=seed),
    }


def _bias(scores: Sequence[ItemScore], *, seed: int) -> dict[str, Metric]:
    clusters = [score.cluster for score in scores]
    said_yes = [float(score.values["correct"] == score.values["label"]) for score in scores]
    wrong = [1.0 - score.values["correct"] for score in scores]
    wrong_yes = [
        one * (1.0 - score.values["label"]) for one, score in zip(wrong, scores, strict=True)
    ]
    more = [said - score.values["label"] for said, score in zip(said_yes, scores, strict=True)]
    ones = [1.0] * len(scores)
    difference = clustered_ratios(
        {"difference": (more, ones)}, clusters, bounds=(-1.0, 1.0), seed=seed
    )["difference"]
    ratio = clustered_ratios({"fp": (wrong_yes, wrong)}, clusters, bounds=(0.0, 1.0), seed=seed)[
        "fp"
    ]
    return {
        "yes_difference": difference.model_copy(update={"n": len(scores)}),
        "fp_ratio": ratio.model_copy(update={"n": int(sum(wrong))}),
    }


def _errors(scores: Sequence[ItemScore], *, seed: int) -> dict[str, Metric]:
    causes = [
        (score.values.get("language", 0.0), score.values.get("vision", 0.0)) for score in scores
    ]
    errors = [float(bool(language or vision)) for language, vision in causes]
    kinds: dict[str, list[float]] = {
        "error/language": [language * (1 - vision) for language, vision in causes],
        "error/vision": [vision * (1 - language) for language, vision in causes],
        "error/mixed": [vision * language for language, vision in causes],
    }
    clusters = [score.cluster for score in scores]
    ratios = {name: (kind, errors) for name, kind in kinds.items()}
    found = clustered_ratios(ratios, clusters, bounds=(0.0, 1.0), seed=seed)
    return {
        name: metric.model_copy(update={"n": int(sum(errors))}) for name, metric in found.items()
    }


class _Groups(NamedTuple):
    """Answers that count together."""

    answers: list[list[bool | None]]
    """Which are right, by group; None where nobody could check an answer."""
    clusters: list[str]
    """The set of figures of each group."""


def _grouped(scores: Sequence[ItemScore], key: Callable[[ItemScore], str]) -> _Groups:
    answers: dict[str, list[bool | None]] = {}
    clusters: dict[str, str] = {}
    for score in scores:
        correct = score.values.get("correct")
        answers.setdefault(key(score), []).append(None if correct is None else correct == 1.0)
        clusters[key(score)] = score.cluster
    return _Groups(list(answers.values()), list(clusters.values()))


def _share(
    scores: Sequence[ItemScore],
    key: Callable[[ItemScore], str],
    count: Callable[[list[bool]], float],
    *,
    seed: int,
) -> Metric:
    """Mean of `count` over questions or figures whose answers are all checked."""
    groups = _grouped(scores, key)
    whole = [
        ([right for right in some if right is not None], cluster)
        for some, cluster in zip(groups.answers, groups.clusters, strict=True)
        if None not in some
    ]
    return rate_metric(
        [float(count(some)) for some, _ in whole], [cluster for _, cluster in whole], seed=seed
    )


def _all_right(answers: Sequence[bool | None]) -> float | None:
    return None if None in answers else float(all(answers))


def _pair(score: ItemScore) -> str:
    kind, number, _, question = score.id.rsplit("/", 3)
    return f"{kind}/{number}/{question}"


def _figure(score: ItemScore) -> str:
    return score.id.rpartition("/")[0]


def _is_without_figure(score: ItemScore) -> bool:
    return score.group == "VS" and score.id.rsplit("/", 2)[1] == "0"
