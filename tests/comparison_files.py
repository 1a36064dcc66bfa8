"""A small folder of comparisons with prompts, responses, facts and images, for reward tests."""

from miniatures import picture
from veridical.records import Comparison, Facts, ImageRef, Prompt, Response, write_records

SAID = [
    ("There is a red car on the left.", "There is a blue car and a dog on the left."),
    ("Two dogs near the tree.", "Two dogs near the tree. A cat sleeps on the sofa."),
    ("A man rides a red bicycle.", "A man rides a blue bicycle along the street."),
]


def write_comparisons(folder, *, count=6, preferred=("first", "second", "tie")):
    """Write `count` comparisons, each about an image of its own."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    prompts, responses, comparisons, facts = [], [], [], []
    for number in range(count):
        prompt_id, name = f"p{number}", f"images/scene{number}.png"
        picture(number).save(folder / name)
        prompts.append(
            Prompt(id=prompt_id, image=ImageRef(path=name), question="What is in the picture?")
        )
        good, bad = SAID[number % len(SAID)]
        choice = preferred[number % len(preferred)]
        texts = (bad, good) if choice == "second" else (good, bad)
        ids = tuple(f"{prompt_id}#{sample}" for sample in range(2))
        responses += [
            Response(id=i, prompt_id=prompt_id, text=t, model="tiny")
            for i, t in zip(ids, texts, strict=True)
        ]
        judged = {
            "prompt_id": prompt_id,
            "source": "simulated",
            "response_ids": ids,
            "preferred": choice,
        }
        comparisons.append(Comparison(id=f"c{number}", **judged))
        facts.append(Facts(image_id=f"scene{number}", kind="caption", texts=(good,)))
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    write_records(folder / "responses.jsonl", responses, kind="Response")
    write_records(folder / "facts.jsonl", facts, kind="Facts")
    write_records(folder / "comparisons.jsonl", comparisons, kind="Comparison")
    return folder
