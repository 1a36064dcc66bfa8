"""Write `coco/forms.json`: which forms nltk's lemmatiser or pattern turns into words of the list.

The scorer then needs neither package nor their data. Run it with `sh benchmarks/chair/run.sh
make_forms.py`; it needs NLTK_DATA with WordNet 3.0. Candidates are every beginning of every word
with every ending that a rule of either package takes off, two rules deep, and WordNet's irregular
forms; each is then put through the package itself.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from nltk.corpus import wordnet
from nltk.stem import WordNetLemmatizer
from singular import irregular_plurals, singularize

from veridical.benchmarks.coco import vocabulary as coco

TARGET = Path(coco.__file__).with_name("forms.json")
POS = {"noun": "n", "verb": "v", "adjective": "a", "adverb": "r"}
ENDINGS = """
s es ies ves ses xes zes ches shes men ed ing er est ae itis eaux zzes ices en i oes uses ice
ovies ombies eries alves elves olves eaves arves erves nives lives wives sives tives hives fes
yses opses oses a ews
""".split()  # noqa: SIM905


def words() -> set[str]:
    """All words that any variant looks for, alone or as part of two."""
    found = set()
    for source in ("chair", "rlhf_v"):
        vocabulary = coco.vocabulary(source)
        found |= {part for word in vocabulary.objects for part in word.split()}
        found |= {part for pair in vocabulary.pairs for part in pair}
    return found


def candidates(targets: set[str]) -> list[str]:
    """Everything that a rule or two may turn into a word."""
    cut = {word[:end] for word in targets for end in range(1, len(word) + 1)}
    once = {stem + ending for stem in cut for ending in ("", *ENDINGS, *irregular_plurals())}
    near = {
        word + ending
        for word in targets
        for ending in ("", "s", "es", "ed", "ing", "er", "est", "men")
    }
    doubled = {
        word + word[-1] + ending for word in targets for ending in ("ed", "ing", "er", "est")
    }
    twice = {form + ending for form in near | doubled for ending in ENDINGS}
    irregular = {form for table in wordnet._exception_map.values() for form in table}
    return sorted(once | near | doubled | twice | irregular | targets)


def main() -> None:
    """Write the table, or with --check compare it."""
    wordnet.ensure_loaded()
    targets = words()
    forms = candidates(targets)
    lemmatise = WordNetLemmatizer().lemmatize
    made = {"pattern": _table(targets, forms, singularize)}
    for name, pos in POS.items():
        made[name] = _table(targets, forms, lambda form, pos=pos: lemmatise(form, pos))
    text = json.dumps(made, indent=0, sort_keys=True) + "\n"
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text() == text else f"{TARGET} is not what this script makes.")
    TARGET.write_text(text)
    print(f"{TARGET}: {len(text)} bytes, {len(forms)} candidates, {len(targets)} words")


def _table(targets: set[str], forms: list[str], normalise: Callable[[str], str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for form in forms:
        word = normalise(form)
        if word in targets:
            found.setdefault(word, []).append(form)
    return {word: " ".join(sorted(found[word])) for word in sorted(found)}


if __name__ == "__main__":
    main()
