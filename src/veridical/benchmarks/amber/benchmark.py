"""AMBER (Wang et al., arXiv 2311.07397): descriptions and yes/no questions, without a judge.

Positive class of the questions: "no" (a hallucination is a yes that should be a no). How totals are
made, the official way and ours, stands in `amber_totals`; how words are found and compared, in
`amber_words`.
"""

from collections.abc import Mapping, Sequence

from veridical.benchmarks.amber.card import CARD
from veridical.benchmarks.amber.files import (
    GENERATIVE,
    AmberItem,
    data_folder,
    given_nouns,
    index_responses,
    query_rows,
    read_annotations,
    read_images,
    read_lexicon,
    read_nouns,
)
from veridical.benchmarks.amber.items import AmberItems, score_answer, score_description
from veridical.benchmarks.amber.nltk_data import nltk_is_there
from veridical.benchmarks.amber.totals import (
    amber_measures,
    amber_score,
    description_metrics,
    question_metrics,
)
from veridical.benchmarks.amber.words import (
    FindNouns,
    Lexicon,
    Similarity,
    exact,
    lexicon_nouns,
    nltk_nouns,
    read_similarity,
    spacy_is_there,
    spacy_similarity,
    word_versions,
)
from veridical.progress import counted
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, field, number_id


class Amber(Benchmark[AmberItems]):
    """AMBER from responses and the folder of annotations."""

    name = "amber"
    card = CARD
    answer_field = "response"

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The queries of the task, from the folder `query`."""
        faults = Faults()
        folder = data_folder(files.path("reference"))
        annotations = read_annotations(
            folder / "annotations.json", read_lexicon(folder, faults), faults
        )
        asked = []
        for row in query_rows(folder / "query", faults):
            number = number_id(row, ("id",), faults)
            if number in annotations and self._wants(annotations[number].dimension):
                image = field(row, "image", str, faults, otherwise="")
                asked.append(
                    BenchmarkPrompt(
                        str(number),
                        image,
                        field(row, "query", str, faults, otherwise=""),
                        {"id": number},
                    )
                )
        if not asked:
            faults.add_file(
                folder / "query",
                "no query_*.json with queries of the task. Give AMBER's data folder.",
            )
        faults.stop()
        return asked

    def read(self, files: Files, *, variant: str) -> Loaded[AmberItems]:
        """Read responses, annotations and words, and find the nouns of descriptions."""
        faults = Faults()
        folder = data_folder(files.path("reference"))
        lexicon = read_lexicon(folder, faults)
        annotations = read_annotations(folder / "annotations.json", lexicon, faults)
        images = read_images(folder / "query", faults)
        rows = read_responses(files, faults)
        asked = [one for one in annotations.values() if self._wants(one.dimension)]
        responses = index_responses(rows, annotations, faults, asked=[one.id for one in asked])
        similarity = self._similarity(faults)
        given = read_nouns(self.option_files().get("nouns"), faults)
        faults.stop()
        answers = Answers(rows, files, faults)
        find = (
            self._noun_finder(lexicon)
            if any(one.dimension == GENERATIVE for one in asked)
            else None
        )
        items = []
        for one in asked:
            row = responses.get(one.id)
            if row is None:
                continue
            said = answers.of(row)
            image = images.get(one.id) or (
                f"AMBER_{one.id}.jpg" if one.dimension == GENERATIVE else f"item {one.id}"
            )
            item = one._replace(response=said, image=image)
            if find is not None and one.dimension == GENERATIVE:
                nouns = given_nouns(row, faults) or given.get(one.id)
                text = said if variant == "official" else said.lower()
                item = item._replace(nouns=tuple(find(text)) if nouns is None else nouns)
            items.append(item)
        faults.stop()
        warnings = self._input_warnings(
            items, asked=len(asked), unused=len(rows) - len(items), grouped=bool(images)
        )
        notes = (*faults.notes, *warnings)
        return Loaded(AmberItems(items, lexicon, similarity), {"responses": len(rows)}, notes)

    def score_items(self, items: AmberItems, *, variant: str) -> list[ItemScore]:
        """Compare nouns with the truth, and answers with the true ones."""
        official, threshold = variant == "official", float(self.options["threshold"])
        return [
            (
                score_description(item, items, threshold=threshold, official=official)
                if item.dimension == GENERATIVE
                else score_answer(item, official=official)
            )
            for item in items.items
        ]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """The two halves that the task has, and the AMBER score where it has both."""
        official = variant == "official"
        descriptions = [score for score in scores if score.group == GENERATIVE]
        questions = [score for score in scores if score.group != GENERATIVE]
        metrics: dict[str, Metric] = {}
        if self._wants(GENERATIVE):
            metrics |= description_metrics(descriptions, official=official, seed=seed)
        if self._wants("existence"):
            metrics |= question_metrics(questions, official=official, seed=seed)
        if "chair" in metrics and "f1" in metrics:
            metrics["amber_score"] = amber_score(metrics["chair"], metrics["f1"])
        return metrics

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The exact ratios, without the official bias and rounding; the AMBER score has none."""
        del variant
        return amber_measures(scores)

    def versions(self, *, variant: str) -> dict[str, str]:
        """How nouns were found and compared."""
        del variant
        files = self.option_files()
        found = "file" if "nouns" in files else self._found_by()
        compared = "file" if "similarity" in files else self._compared_by()
        return word_versions(nouns=found, similarity=compared) if self._wants(GENERATIVE) else {}

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Tell where the official way guesses, and where the numbers say little."""
        notes = []
        odd = sum(score.status == "unparsed" for score in scores)
        if odd and variant == "official":
            notes.append(
                f"{odd} answers are not exactly Yes or No; the official code counts them wrong. "
                "--variant corrected reads them."
            )
        empty = sum(score.status == "empty" for score in scores if score.group == GENERATIVE)
        if empty:
            notes.append(
                f"{empty} descriptions are empty; they count as free of hallucination. Look at"
                " cover."
            )
        if "chair" in metrics and not metrics["chair"].n:
            notes.append("No description mentions anything that AMBER knows: chair says nothing.")
        if (
            not odd
            and "f1" in metrics
            and metrics["f1"].n
            and metrics["yes_ratio"].value in (0.0, 1.0)
        ):
            notes.append("The model gave one answer to every question: F1 says little here.")
        return tuple(notes)

    def _wants(self, dimension: str) -> bool:
        task = self.options["task"]
        return task == "all" or (task == GENERATIVE) == (dimension == GENERATIVE)

    def _found_by(self) -> str:
        chosen = self.options["nouns"]
        return ("nltk" if nltk_is_there() else "lexicon") if chosen == "auto" else chosen

    def _compared_by(self) -> str:
        chosen = self.options["similarity"]
        return ("spacy" if spacy_is_there() else "exact") if chosen == "auto" else chosen

    def _noun_finder(self, lexicon: Lexicon) -> FindNouns:
        return nltk_nouns() if self._found_by() == "nltk" else lexicon_nouns(lexicon.known)

    def _similarity(self, faults: Faults) -> Similarity:
        path = self.option_files().get("similarity")
        if path is not None:
            return read_similarity(path, faults)
        return (
            spacy_similarity()
            if self._compared_by() == "spacy" and self._wants(GENERATIVE)
            else exact
        )

    def _input_warnings(
        self, items: Sequence[AmberItem], *, asked: int, unused: int, grouped: bool
    ) -> tuple[str, ...]:
        notes = []
        if unused:
            notes.append(f"Not used: {counted(unused, 'response')} of the other task.")
        if len(items) < asked:
            notes.append(
                f"{len(items)} of the task's {asked} items are answered; the others count nowhere."
            )
        if not grouped and any(item.dimension != GENERATIVE for item in items):
            notes.append(
                "Without the folder `query` no image is known: intervals take questions as"
                " independent."
            )
        if any(item.dimension == GENERATIVE for item in items):
            if self._found_by() == "lexicon":
                notes.append(
                    "Nouns that were not given were looked up in AMBER's lexicon; the official code"
                    " tags words."
                )
            if self._compared_by() != "spacy":
                notes.append(
                    "Words were not compared by spaCy's vectors: do not compare with published"
                    " chair and hal."
                )
        return tuple(notes)
