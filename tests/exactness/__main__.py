"""Write docs/benchmarks/exactness.md: python tests/exactness."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from exactness.accounts import page, values
from official_data import DATA

os.environ.setdefault("NLTK_DATA", str(DATA / "nltk_data"))
(Path(__file__).parents[2] / "docs" / "benchmarks" / "exactness.md").write_text(
    page(list(values())), encoding="utf-8"
)
