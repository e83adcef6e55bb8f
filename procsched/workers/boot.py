"""The first lines of a process of ours: find modules, then do what it was made for.

Leaner than multiprocessing's own beginning on purpose: what is imported here is
in every process that is forked later, and makes each fork and each exit longer.

Imports: nothing of ours.
"""

from __future__ import annotations

import pickle
import sys


def main(order: int) -> None:
    """Read from a pipe what to be, and be it.

    Args:
        order: Where to read: sys.path and sys.argv, then a function and its
            arguments, each a pickle.
    """
    with open(order, "rb") as pipe:
        sys.path[:], sys.argv = pickle.load(pipe)  # noqa: S301 - our own parent's
        # It is made out only now: its module is found by that path.
        target, given, named = pickle.load(pipe)  # noqa: S301 - our own parent's
    target(*given, **named)
