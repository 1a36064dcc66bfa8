"""Best of n from Python: sample responses, keep the one of highest reward, train nothing.

python best_of_n.py out/pictures

Pictures go into the folder that is named.
"""

import sys
from pathlib import Path

from scenes import make_rows

import veridical

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
prompts = []
for number, row in enumerate(make_rows(2)):
    row["image"].save(folder / f"{number}.png")
    image = veridical.ImageRef(path=f"{number}.png")
    prompts.append(veridical.Prompt(id=str(number), image=image, question=row["prompt"]))

sampled = veridical.sample_and_reward(
    veridical.load_model("world"),
    prompts,
    lambda candidates: [-float(candidate.tokens) for candidate in candidates],
    num_samples=4,
    root=folder,
    max_new_tokens=48,
)
for found in sampled:
    print(f"best of {len(found.responses)}: {found.best().text}")
