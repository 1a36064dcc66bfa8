"""Named child seeds of one root seed: no stage depends on how much randomness another used.

>>> child_seed(0, "scenes", 3) == child_seed(0, "scenes", 3)
True
>>> child_seed(0, "scenes", 3) == child_seed(0, "scenes", 4)
False
"""

import hashlib
import random


def child_seed(root: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a root seed and a path of names, equal on every platform."""
    # a NumPy integer must count as the integer that it is
    text = "\x1f".join(
        [str(root), *(f"{'str' if isinstance(name, str) else 'int'}:{name}" for name in names)]
    )
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def child_random(root: int, *names: str | int) -> random.Random:
    """Make a `random.Random` of its own for one purpose."""
    return random.Random(child_seed(root, *names))
