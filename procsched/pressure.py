"""How hard this host is pressed for CPU, memory and I/O, in the kernel's own words.

Each file of /proc/pressure begins with `some avg10=`: the share of the last ten
seconds in which at least one task waited for the resource
(Documentation/accounting/psi.rst).  It is read when somebody asks and never else.

Imports: errors.
"""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procsched.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

PLACE: Final = Path("/proc/pressure")

_SOME: Final = re.compile(r"^some avg10=(\d+(?:\.\d+)?)\b", re.MULTILINE)


class PressureGauge:
    """Compares the pressure with thresholds.

    Args:
        thresholds: Percent by resource: cpu, memory or io.
        place: Where the kernel tells it.

    Raises:
        SchedulerError: If the kernel tells nothing of a resource.
    """

    def __init__(self, thresholds: Mapping[str, float], place: Path = PLACE) -> None:
        self._thresholds = dict(thresholds)
        self._place = place
        self._silent: set[str] = set()
        for name in self._thresholds:
            try:
                self._percent(name)
            except OSError as fault:
                raise SchedulerError(
                    f"the settings name a threshold for the pressure on {name}, and "
                    f"this host does not tell it: {place / name}: {fault.strerror}",
                    remedy="Leave `pressure` out, or use Linux with a kernel built "
                    "with CONFIG_PSI and booted with psi=1",
                ) from fault

    def over(self) -> tuple[str, ...]:
        """Return the thresholds that are exceeded, each in words."""
        found = []
        for name, threshold in self._thresholds.items():
            try:
                percent = self._percent(name)
            except OSError as fault:
                # No reason to let anybody wait: it would be for ever.
                self._complain(name, fault)
                continue
            if percent > threshold:
                found.append(f"{name} {percent:g} % over {threshold:g} %")
        return tuple(found)

    def _percent(self, name: str) -> float:
        found = _SOME.search((self._place / name).read_text("ascii"))
        if found is None:
            raise OSError(errno.EPROTO, "no line begins with 'some avg10='")
        return float(found[1])

    def _complain(self, name: str, fault: OSError) -> None:
        """Say once that a resource has fallen silent."""
        if name not in self._silent:
            self._silent.add(name)
            log.warning("cannot read the pressure on %s any more: %s", name, fault)
