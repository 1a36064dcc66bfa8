"""Trainings that are killed (SIGKILL) at given moments, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from veridical.config import write_recipe

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")

_BEFORE = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def die_at_call(owner, name, number, last_words=lambda *arguments: None):
    inner, calls = getattr(owner, name), [0]
    def counting(*arguments, **more):
        calls[0] += 1
        if calls[0] == number:
            last_words(*arguments)
            die()
        return inner(*arguments, **more)
    setattr(owner, name, counting)

def half_a_file(value, path, *rest):
    whole(value, path)
    os.truncate(path, os.path.getsize(path) // 2)

whole = torch.save
"""
_AFTER = """
for moment, prepare in MOMENTS.items():
    child = os.fork()
    if child == 0:
        prepare()
        train(sys.argv[1], sys.argv[2] + "/" + moment)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
"""


def kill_runs(code, recipe, folder, *, timeout=120):
    """Run a training once for each moment, in `folder/MOMENT`, until it is killed there.

    `code` defines `MOMENTS` (name → function that arranges the kill, by `die_at_call`) and
    `train(recipe_file, run_dir)`.
    """
    here = Path(__file__).parent
    file = write_recipe(recipe, folder / "recipe.toml")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BEFORE + code + _AFTER, file, folder, here],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=timeout,
    )
