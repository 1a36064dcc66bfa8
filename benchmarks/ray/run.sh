#!/bin/sh
# Ray listens on every interface it finds: run it where loopback is the only one. Arguments go to run.py; PYTHON may
# name an environment that has Ray.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
exec unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "${PYTHON:-python}" "$here/run.py" "$@"
