"""Ratings of single responses → comparisons: of two responses to a prompt, the higher rated wins.

A response's rating is the mean over its annotators; ratings of different sources (human, simulated,
model) are never averaged. Two responses give a comparison where their ratings differ by at least
the margin; how many pairs are closer is logged. Which of them hallucinates is MMHal-Bench's rule: a
score below 3 does (arXiv 2309.14525, appendix).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from statistics import mean

from veridical.errors import ConfigError, Fault
from veridical.feedback.comparisons import (
    BadRow,
    ComparedPair,
    JudgedRow,
    ReadSettings,
    accept,
    good_rows,
    join_answers,
    read_answers,
)
from veridical.progress import log
from veridical.records import Comparison, Rating, Response, Source
from veridical.records.folders import RESPONSES_FILE

TRUTHFUL_FROM = 3
"""Lowest score of a response without hallucination (MMHal-Bench)."""


def comparisons_from_ratings(ratings: Iterable[Rating], *, margin: float = 1.0) -> list[Comparison]:
    """Turn ratings of responses to one prompt into comparisons; closer pairs give none.

    Args:
        ratings: The ratings.
        margin: Least difference of two mean scores, in points.

    Returns:
        Comparisons, the better response first where it was rated first; in the ratings' order.

    Raises:
        ConfigError: The margin is not positive.
    """
    if not margin > 0:
        raise ConfigError(f"The margin of ratings must be above 0 points, got {margin}.")
    comparisons: list[Comparison] = []
    closer = 0
    for (prompt_id, source), scores in _mean_scores(ratings).items():
        for one, other in combinations(scores, 2):
            if abs(scores[one] - scores[other]) < margin:
                closer += 1
                continue
            better = scores[one] > scores[other]
            truthful = [scores[name] >= TRUTHFUL_FROM for name in (one, other)]
            comparisons.append(
                Comparison(
                    id=f"{source}:{one}>{other}" if better else f"{source}:{one}<{other}",
                    prompt_id=prompt_id,
                    source=source,
                    response_ids=(one, other),
                    preferred="first" if better else "second",
                    hallucination=truthful[0] != truthful[1],
                )
            )
    if closer:
        log(
            f"{closer} of {closer + len(comparisons)} pairs of rated responses differ by less than"
            f" {margin:g} points; no comparison is made of them"
        )
    return comparisons


def read_rated_pairs(
    path: Path, settings: ReadSettings, *, faults: list[Fault] | None = None
) -> list[ComparedPair]:
    """Read a file of ratings as comparisons, with the prompts and responses next to it.

    Args:
        path: The file.
        settings: How it is read.
        faults: Gets all faults, where given; nothing is raised then.

    Raises:
        DataError: All faults, each with file and line; or no comparison at all.
    """
    bad: list[BadRow] = []
    rows = list(good_rows(path, Rating, bad))
    answers = read_answers(path.parent, bad, need_facts=settings.need_facts)
    ratings = list(_known(path, rows, answers.responses, bad))
    judged = comparisons_from_ratings(ratings, margin=settings.rating_margin)
    # What is wrong with a comparison is placed at the first rating of its first response.
    place = {row.response_id: (line, raw) for line, raw, row in reversed(rows)}
    made = [JudgedRow(*place[row.response_ids[0]], row) for row in judged]
    pairs = join_answers(path, made, answers, bad, settings)
    bad = list(dict.fromkeys(bad))
    if faults is not None and ratings and not bad:
        return pairs  # sound, although perhaps no two responses are to one prompt
    return accept(path, pairs, bad, settings, faults=faults)


def _mean_scores(ratings: Iterable[Rating]) -> Mapping[tuple[str, Source], Mapping[str, float]]:
    """Mean score by response, for each prompt and source; in the ratings' order."""
    given: dict[tuple[str, Source], dict[str, list[int]]] = {}
    for row in ratings:
        responses = given.setdefault((row.prompt_id, row.source), {})
        responses.setdefault(row.response_id, []).append(row.score)
    return {
        key: {name: mean(scores) for name, scores in responses.items()}
        for key, responses in given.items()
    }


def _known(
    path: Path,
    rows: Iterable[tuple[int, str, Rating]],
    responses: Mapping[str, Response],
    bad: list[BadRow],
) -> Iterator[Rating]:
    for line, raw, rating in rows:
        response = responses.get(rating.response_id)
        if response is None:
            message = (
                f"there is no response {rating.response_id!r} in {RESPONSES_FILE}. Add it or leave"
                " the row out."
            )
            bad.append(BadRow(path, line, raw, message))
        elif response.prompt_id != rating.prompt_id:
            message = (
                f"response {rating.response_id!r} answers prompt {response.prompt_id!r}, the rating"
                f" is about {rating.prompt_id!r}. Fix the ids."
            )
            bad.append(BadRow(path, line, raw, message))
        else:
            yield rating
