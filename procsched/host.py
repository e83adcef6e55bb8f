"""What this machine has to offer.

Imports: nothing of ours.
"""

from __future__ import annotations

import os


def processors() -> int:
    """Return how many CPUs this process may use (sched_getaffinity(2))."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
