#!/bin/sh
# Set up the benchmark's own environment (TRL is no dependency of Veridical) and run the benchmark; arguments go to run.py.
# On a machine without a GPU see the first lines of constraints.txt: they save a large download.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
venv="$root/.venv-bench"
if [ ! -f "$venv/installed.stamp" ] || [ "$root/constraints.txt" -nt "$venv/installed.stamp" ]; then
    test -x "$venv/bin/python" || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet -c "$root/constraints.txt" -e "$root[train]" 'trl==1.16.*'
    touch "$venv/installed.stamp"
fi
export HF_HUB_OFFLINE=1
exec "$venv/bin/python" "$here/run.py" "$@"
