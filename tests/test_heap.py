"""Holes in the heap go back to the system."""

import subprocess
import sys

import pytest

from veridical.heap import giving_back

HOLES = """
import ctypes, sys
from pathlib import Path
from veridical.heap import give_back

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.mallopt(-3, 2**25)  # large blocks lie in the heap, as they do after some have been freed
kept, holes = [], []
for _ in range(20):
    hole = libc.malloc(4 * 2**20)
    ctypes.memset(hole, 1, 4 * 2**20)
    holes.append(hole)
    kept.append(libc.malloc(100_000))
for hole in holes:
    libc.free(hole)
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the process's memory")
def test_holes_between_what_lives_on_are_given_back():
    done = subprocess.run([sys.executable, "-c", HOLES], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 60_000


def test_giving_back_changes_nothing_of_what_it_yields():
    assert list(giving_back(range(70), every=32)) == list(range(70))
