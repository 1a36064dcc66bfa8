"""Write photographs from Python packages, with corrections, as one RLHF-V Parquet file.

    python make_dataset.py out/RLHF-V-Dataset.parquet

The photographs lie in scikit-image and scikit-learn (`pip install scikit-image scikit-learn`);
nothing is downloaded. The file has the layout of the RLHF-V dataset on the hub: image bytes, and
question, chosen and rejected as JSON text.
"""

import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from veridical import Correction, ImageRef, export_dataset, write_records

HERE = Path(__file__).parent


def read_photo(path: str) -> bytes:
    """Read a photograph from an installed package; its name is the first part of the path."""
    package, _, inside = path.partition("/")
    return files(package).joinpath(inside).read_bytes()


def make_dataset(out: Path) -> Path:
    """Write the Parquet file and return its path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (HERE / "corrections.jsonl").read_text(encoding="utf-8").splitlines()
        corrections = []
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            photo = row["photo"]
            (folder / photo).parent.mkdir(parents=True, exist_ok=True)
            (folder / photo).write_bytes(read_photo(photo))
            correction = Correction(
                id=str(number),
                prompt_id=f"{Path(photo).stem}: {row['question']}",
                source="model",  # not an annotator: both texts were written for this example
                image=ImageRef(path=photo),
                question=row["question"],
                rejected=row["rejected"],
                chosen=row["chosen"],  # segments are derived from the two texts
                origin=f"written for this example, photograph of {photo.partition('/')[0]}",
            )
            corrections.append(correction)
        write_records(folder / "corrections.jsonl", corrections, kind="Correction")
        return export_dataset(folder, out, format_name="rlhf-v")


if __name__ == "__main__":
    print(make_dataset(Path(sys.argv[1])))
