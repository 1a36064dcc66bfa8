"""POPE (Li et al., arXiv 2305.10355): "Is there a … in the image?" of objects that are there and objects that are not.

Positive class: "yes". The official parser (RUCAIBox/POPE `evaluate.py`) takes the text before the
first full stop, drops commas, splits at blanks and says "no" where a word is exactly "No", "no" or
"not"; all else is "yes".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from veridical.records import ItemScore, Metric
from veridical.scoring.matching import Pair, match_answers
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import (
    SHORT_ANSWER,
    Benchmark,
    BenchmarkPrompt,
    Card,
    Files,
    InputSpec,
    KnownFault,
    Loaded,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)
from veridical.scoring.rates import rate_metric
from veridical.scoring.rows import Faults, field, read_rows
from veridical.scoring.vqa_text import strip_punctuation
from veridical.scoring.yes_no import Answer, strict_answer, yes_no_measures, yes_no_metrics

_HA_DPO = "HA-DPO repository, llava-v1_5/README.md"


class PopeItem(NamedTuple):
    """One question with its answer."""

    id: str
    """Id of the question."""
    image: str
    """Image asked about; answers on one image are resampled together."""
    label: Literal["yes", "no"]
    """The truth."""
    answer: str
    """What the model said."""


def official_answer(text: str) -> Answer:
    """Read an answer as the official code does.

    >>> official_answer("NO"), official_answer("I am not sure"), official_answer("")
    ('yes', 'no', 'yes')
    """
    words = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def vlmevalkit_answer(text: str) -> Answer:
    """Read an answer as VLMEvalKit does: one of the words yes and no after VQA's punctuation rules; else unknown.

    >>> vlmevalkit_answer("NO!"), vlmevalkit_answer("**No**"), vlmevalkit_answer("Yes. There is no cat")
    ('no', 'unknown', 'unknown')
    """
    said = {"yes", "no"} & set(strip_punctuation(text.lower()).split())
    if len(said) != 1:
        return "unknown"
    return "yes" if "yes" in said else "no"


def lmms_answer(text: str) -> Answer:
    """Read an answer as lmms-eval does: nothing but yes or no; a full stop already makes it unknown.

    >>> lmms_answer(" NO"), lmms_answer("No.")
    ('no', 'unknown')
    """
    said = text.lower().strip()
    return "yes" if said == "yes" else "no" if said == "no" else "unknown"


PARSERS: dict[str, Callable[[str], Answer]] = {
    "official": official_answer,
    "strict": strict_answer,
    "vlmevalkit": vlmevalkit_answer,
    "lmms-eval": lmms_answer,
}
"""How each variant reads an answer."""


class Pope(Benchmark[list[PopeItem]]):
    """POPE from answers and questions."""

    name = "pope"
    card = Card(
        title="POPE",
        paper="Li et al. 2023, arXiv 2305.10355; RUCAIBox/POPE",
        measures=(
            "Whether a model says yes or no rightly when asked for one object, on three choices of"
            " absent objects: random, popular, and adversarial (those that often stand beside the"
            " present ones)."
        ),
        leaves_out=(
            "Free descriptions: a model may answer every question rightly and still invent objects"
            " when it describes. Nothing but the presence of objects is asked. About 6 questions"
            " share an image."
        ),
        data=(
            "Questions: https://github.com/RUCAIBox/POPE (MIT), folder output/coco; the nine files"
            " of COCO, A-OKVQA and GQA: https://github.com/DAMO-NLP-SG/VCD (Apache-2.0),"
            " experiments/data/POPE. One file a score: three files make three scores. Images: COCO"
            " val2014 and GQA."
        ),
        prompt=(
            '"Is there a snowboard in the image?"; LLaVA adds "Answer the question using a single'
            ' word or phrase."'
        ),
        judge="",
        variants={
            "official": Variant(
                "As RUCAIBox/POPE evaluate.py reads: what holds no no is a yes.", official=True
            ),
            "strict": Variant(
                "The first word, or else the only one of yes and no in the answer, in any case and"
                " punctuation. All else is unknown: wrong, no yes, and counted apart."
            ),
            "vlmevalkit": Variant(
                "As VLMEvalKit's YOrN_Extraction reads: exactly one of the words yes and no; else"
                " unknown and wrong.",
                official=True,
            ),
            "lmms-eval": Variant(
                "As lmms-eval reads: exactly yes or no. All else is wrong for accuracy and left out"
                " of precision, recall and F1; its yes ratio is that of the truth, not of the"
                " answers.",
                official=True,
            ),
        },
        inputs={
            "responses": InputSpec(
                "JSON lines of `question_id` (where there is one) and `answer` or `text`; matched"
                " by id where both sides have ids, by order otherwise"
            ),
            "questions": InputSpec(
                "JSON lines of `question_id`, `image`, `text`, `label` (yes or no)"
            ),
        },
        metrics={
            "accuracy": MetricSpec("Right answers / questions", "higher"),
            "precision": MetricSpec("Right yes / yes said", "higher"),
            "recall": MetricSpec("Right yes / questions whose truth is yes", "higher"),
            "f1": MetricSpec("Harmonic mean of precision and recall", "higher"),
            "yes_ratio": MetricSpec(
                "Yes said / questions; about half of the truth is yes", "neither"
            ),
            "unknown_ratio": MetricSpec(
                "Answers from which the variant reads neither yes nor no / questions; official"
                " reads all",
                "lower",
            ),
        },
        faults=(
            KnownFault('"not" is a no', '"I am not sure" counts as no', "strict: unknown"),
            KnownFault(
                "Case and punctuation", '"NO", "No!" and "**No**" count as yes', "strict: no"
            ),
            KnownFault(
                "Paired by order",
                "2,910 answers beside 3,000 questions are cut to 2,910 pairs, most of them wrong,"
                " without a word",
                "every variant here: ids where both sides have them; unequal lengths are an error",
            ),
            KnownFault(
                "Division by zero",
                "A model that never says yes, or never rightly, ends the script",
                "every variant here: the ratio is 0 with n = 0",
            ),
            KnownFault(
                "Several files of one name",
                "COCO random has 3,000 questions, or 2,910 in an older split; VCD's files hold"
                ' other absent objects; 57 texts of VCD\'s adversarial file say "imange"',
                "the questions' hash is kept with the score; texts are never compared, only ids",
            ),
            KnownFault(
                "lmms-eval: yes ratio of the truth",
                "An always-yes model on balanced questions is said to answer yes in half of the"
                " cases",
                "every other variant: of the answers",
            ),
        ),
        references=(
            ReferenceResult(
                "LLaVA-1.5-7B, COCO random",
                {
                    "accuracy": 0.8960,
                    "precision": 0.8877,
                    "recall": 0.9066,
                    "f1": 0.8970,
                    "yes_ratio": 0.5106,
                },
                _HA_DPO,
            ),
            ReferenceResult(
                "LLaVA-1.5-7B, COCO popular",
                {
                    "accuracy": 0.8620,
                    "precision": 0.8323,
                    "recall": 0.9066,
                    "f1": 0.8679,
                    "yes_ratio": 0.5446,
                },
                _HA_DPO,
            ),
            ReferenceResult(
                "LLaVA-1.5-7B, COCO adversarial",
                {
                    "accuracy": 0.7976,
                    "precision": 0.7443,
                    "recall": 0.9066,
                    "f1": 0.8175,
                    "yes_ratio": 0.6090,
                },
                _HA_DPO,
            ),
            ReferenceResult(
                "LLaVA-1.5-7B, COCO random of VCD, greedy",
                {
                    "accuracy": 0.8700,
                    "precision": 0.9664,
                    "recall": 0.7667,
                    "f1": 0.8550,
                    "yes_ratio": 0.3967,
                },
                "computed by this code from the answers in ustc-hyin/cd_rethink",
            ),
            *(
                ReferenceResult(
                    f"{model}, mean of three COCO splits",
                    {"f1": f1},
                    "haotian-liu/LLaVA MODEL_ZOO.md",
                )
                for model, f1 in (
                    ("LLaVA-1.5-7B", 0.859),
                    ("LLaVA-1.5-13B", 0.859),
                    ("LLaVA-1.6-vicuna-7B", 0.865),
                    ("LLaVA-1.6-vicuna-13B", 0.862),
                    ("LLaVA-1.6-mistral-7B", 0.867),
                    ("LLaVA-1.6-34B", 0.877),
                )
            ),
        ),
        presets={
            "plain": Preset("RUCAIBox/POPE: the question alone; greedy.", max_new_tokens=64),
            "llava-1.5": Preset(
                "LLaVA, docs/Evaluation.md: short answer asked for; greedy.",
                template=SHORT_ANSWER,
                max_new_tokens=128,
            ),
            "llava-rlhf": Preset(
                "LLaVA-RLHF, Eval/eval_scripts/eval_pope.sh: short answer asked for, sampled at"
                " 0.2. (Its shell passes a backslash and an n in place of the line break; here it"
                " is a line break.)",
                template=SHORT_ANSWER,
                temperature=0.2,
                max_new_tokens=64,
            ),
        },
    )

    def read(self, files: Files, *, variant: str) -> Loaded[list[PopeItem]]:
        """Read answers and questions and match them."""
        del variant
        faults = Faults()
        answers = read_rows(files.path("responses"), faults)
        questions = read_rows(files.path("questions"), faults)
        matched = match_answers(answers, questions, faults)
        items = [_item(pair, faults) for pair in matched.pairs]
        faults.stop()
        return Loaded(
            items, {"responses": len(answers), "questions": len(questions)}, matched.warnings
        )

    def score_items(self, items: list[PopeItem], *, variant: str) -> list[ItemScore]:
        """Read every answer and compare it with the truth."""
        return [_score(item, variant=variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates of the two-way classification."""
        metrics = yes_no_metrics(scores, seed=seed)
        clusters = [score.cluster for score in scores]
        if variant == "lmms-eval":
            read = [score for score in scores if "predicted" in score.values]
            truth = rate_metric([score.values["label"] for score in scores], clusters, seed=seed)
            metrics = yes_no_metrics(read, seed=seed) | {
                "accuracy": metrics["accuracy"],
                "yes_ratio": truth,
            }
        if variant != "official":
            unknown = ["predicted" not in score.values for score in scores]
            metrics["unknown_ratio"] = rate_metric(unknown, clusters, seed=seed)
        return metrics

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions as they stand in the file."""
        faults = Faults()
        rows = read_rows(files.path("questions"), faults)
        asked = [
            BenchmarkPrompt(
                str(row.values.get("question_id", row.line)),
                field(row, ("image", "image_source"), str, faults, otherwise=""),
                field(row, "text", str, faults, otherwise=""),
                {"question_id": row.values["question_id"]} if "question_id" in row.values else {},
            )
            for row in rows
        ]
        faults.stop()
        return asked

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The rates as sums over questions; lmms-eval's, which leave answers out, are not among them."""
        return {} if variant == "lmms-eval" else yes_no_measures(scores)

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Tell where the official parser made a yes of something else."""
        notes = []
        guessed = sum(score.status in ("empty", "unparsed") for score in scores)
        if variant == "official" and guessed:
            notes.append(
                f"{guessed} of {len(scores)} answers say neither yes nor no; the official parser"
                " guesses."
            )
        if scores and metrics["yes_ratio"].value in (0.0, 1.0):
            notes.append("The model gave one answer to every question: F1 says little here.")
        return tuple(notes)


def _item(pair: Pair, faults: Faults) -> PopeItem:
    label = field(pair.question, "label", str, faults, otherwise="no")
    truth = label.strip().lower()
    if truth not in ("yes", "no"):
        faults.add(pair.question, f"`label` must be yes or no, got {label[:60]!r}. Mend the row.")
    image = field(pair.question, ("image", "image_source"), str, faults, otherwise="")
    text = field(pair.answer, ("answer", "text", "response"), str, faults, otherwise="")
    return PopeItem(pair.id, image, "yes" if truth == "yes" else "no", text)


def _score(item: PopeItem, *, variant: str) -> ItemScore:
    parsed = PARSERS[variant](item.answer)
    # The official parser makes a yes of all that it cannot read; that it guessed is told by the
    # strict one.
    clear = (strict_answer(item.answer) if variant == "official" else parsed) != "unknown"
    values = {"label": float(item.label == "yes")}
    if parsed != "unknown":
        values["predicted"] = float(parsed == "yes")
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if clear else "unparsed" if item.answer.strip() else "empty",
        parsed=parsed,
        values=values,
    )
