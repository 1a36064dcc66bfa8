#!/bin/sh
# Run the benchmark in the project's own environment: both ways run on the same libraries. Arguments go to run.py.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
make -s -C "$root" setup
export HF_HUB_OFFLINE=1
exec "$root/.venv/bin/python" "$here/run.py" "$@"
