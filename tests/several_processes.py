"""Trainings in several processes that exchange gradients (gloo), each run in forks of one process.

A process that has imported everything forks once for every process of every run: what takes seconds
is paid once. What a launcher would set in the environment is set in the forks.
"""

import os
import subprocess
import sys
from pathlib import Path

_CODE = r"""
import os, signal, socket, sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from veridical.processes import OtherProcessError

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

def start(work, world):
    port, children = str(free_port()), []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
            code = 1
            try:
                work()
                code = 0
            except Exception as error:
                code = 3 if isinstance(error, OtherProcessError) else 1
                # In one write: processes that fail together share this stream.
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return children

def run(work, world):
    '''Exit codes of all processes; where one fails the others are ended, as a launcher does.

    1 is a failure, 3 that of a process which ends because another failed.
    '''
    children, codes = start(work, world), {}
    while len(codes) < world:
        child, status = os.wait()
        codes[child] = os.waitstatus_to_exitcode(status)
        if codes[child] and len(codes) < world:
            time.sleep(1)  # those that fail by themselves, with a code of their own
            for other in set(children) - set(codes):
                os.kill(other, signal.SIGKILL)
    return [codes[child] for child in children]

def die_in_process(number, owner, name, call):
    '''Let one process be killed at a call of a function.'''
    inner, calls = getattr(owner, name), [0]
    def counting(*arguments, **more):
        calls[0] += 1
        if calls[0] == call and os.environ["RANK"] == str(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*arguments, **more)
    setattr(owner, name, counting)

folder = sys.argv[2]
"""


def run_code(code, folder, *, timeout=280):
    """Run code that calls `run(work, world)`; `folder` is known to it. Gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CODE + code, Path(__file__).parent, folder],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done
