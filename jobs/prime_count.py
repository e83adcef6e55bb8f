"""How many primes are there?

The sieve of Eratosthenes, a segment at a time, so that the memory does not grow
with the limit.

The lesson: a job that computes for long says how far it is, and looks now and
then whether it shall stop.  It holds the GIL all the while, and in a process of
its own that delays nobody.

Imports: procsched.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Final

from procsched import Job, current_run
from procsched.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Sequence

SEGMENT: Final = 2**18
"""Numbers per segment, a byte each: fits a CPU's second cache, and takes a few
milliseconds, which is how soon a stop is heeded."""

FIRST_PRIME: Final = 2


class PrimeCount(Job):
    """The number of primes up to a limit.

    Args:
        limit: The largest number looked at, 2 or more.  Two million take some
            hundredths of a second, a hundred million more than one second.

    Raises:
        JobError: If the limit is not such a number.
    """

    def __init__(self, limit: int = 2_000_000) -> None:
        if not isinstance(limit, int) or limit < FIRST_PRIME:
            raise JobError(
                f"prime-count has limit={limit!r}, below which there is no prime",
                remedy="Pass a whole number, 2 or more",
            )
        self.limit = limit

    def name(self) -> str:
        """Return the job's identifier."""
        return "prime-count"

    def goal(self) -> dict[str, Any]:
        """Count, as far as the run is let.

        Returns:
            The number of primes, up to where, and whether that is the limit.
        """
        from procsched import Auditor

        run = current_run()
        primes = small_primes(isqrt(self.limit))
        count, reached = 0, 1
        while reached < self.limit and not run.stopping:
            first, reached = reached + 1, min(reached + SEGMENT, self.limit)
            count += count_segment(first, reached, primes)
            run.progress(reached, self.limit)
        complete = reached == self.limit
        result = {"primes": count, "up_to": reached, "complete": complete}
        Auditor.audit_params(self.name(), "success" if complete else "stopped", result)
        return result


def small_primes(limit: int) -> list[int]:
    """Return the primes up to a limit, by the plain sieve."""
    sieve = bytearray([1]) * (limit + 1)
    for number in range(FIRST_PRIME, isqrt(limit) + 1):
        if sieve[number]:
            multiples = range(number * number, limit + 1, number)
            sieve[multiples.start :: number] = bytes(len(multiples))
    return [number for number in range(FIRST_PRIME, limit + 1) if sieve[number]]


def count_segment(first: int, last: int, primes: Sequence[int]) -> int:
    """Return the number of primes from first to last, both included.

    Args:
        first: 2 or more.
        last: Not below `first`.
        primes: All primes up to the root of `last`, at least, ascending.
    """
    sieve = bytearray([1]) * (last - first + 1)
    for prime in primes:
        if prime * prime > last:
            break
        # The first multiple in the segment; below its square smaller primes did it.
        start = max(prime * prime, -(-first // prime) * prime) - first
        sieve[start::prime] = bytes(len(range(start, len(sieve), prime)))
    return sum(sieve)
