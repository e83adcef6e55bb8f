"""The calls Python has no name for; where a system lacks them, they say so.

Imports: nothing of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38

_IOPRIO_SET: Final = {
    "x86_64": 251,
    "aarch64": 30,
    "riscv64": 30,
    "i686": 289,
    "armv7l": 314,
    "ppc64le": 273,
    "s390x": 282,
}
"""Number of the system call, by machine (syscalls(2))."""

_ON_LINUX: Final = sys.platform == "linux"

# Loaded once, before any fork: a goal process must not have to import anything
# between its fork and its limits.
_libc: Final = ctypes.CDLL(None, use_errno=True) if _ON_LINUX else None


def become_subreaper() -> bool:
    """Adopt orphaned descendants; False where the system cannot (prctl(2))."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the parent's forking thread ends (prctl(2)).

    The parent may be gone already, in which case no signal would come.
    """
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    if _libc is None:
        return False
    result: int = _libc.prctl(option, value, 0, 0, 0)
    return result == 0


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that is readable once the process is dead.

    None where the system has none (pidfd_open(2), Linux 5.3).
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def send_signal(pidfd: int | None, pid: int, number: int) -> bool:
    """Signal exactly that process; False if it is gone.

    A pidfd names the process even after its number has gone to another
    (pidfd_send_signal(2)); without one the caller must not have reaped it.
    """
    try:
        if pidfd is not None and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(pidfd, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def open_descriptors() -> list[int] | None:
    """Return the numbers of this process's descriptors; None if nobody can say.

    The one they are listed through is among them, and closed.
    """
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            # No such folder on this system.
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208 - fast
    return None


def become_dumpable() -> None:
    """Own /proc/self again, which a change of user gives to root (prctl(2))."""
    _prctl(_PR_SET_DUMPABLE, 1)


def forbid_new_privileges() -> bool:
    """Gain none by exec from here on; False where the system cannot (prctl(2))."""
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones (unshare(2)); os.unshare is of Python 3.12.

    Raises:
        OSError: If that is not permitted, or the system has none.
    """
    _checked("unshare", ctypes.c_int(flags))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system (mount(2)).

    Raises:
        OSError: If that is not permitted.
    """
    texts = [ctypes.c_char_p(text.encode()) for text in (source, target, kind, options)]
    _checked("mount", *texts[:3], ctypes.c_ulong(flags), texts[3])


def set_io_priority(number: int) -> None:
    """Set the class and level of this process's input and output (ioprio_set(2)).

    Args:
        number: Class in the bits from 13 up, level below.

    Raises:
        OSError: If that is not permitted, or not known for this system.
    """
    call = _IOPRIO_SET.get(os.uname().machine)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    # The C library has no function for it; 1 and 0 stand for this process.
    _checked("syscall", *map(ctypes.c_long, (call, 1, 0, number)))


def _checked(name: str, *arguments: Any) -> None:
    code = errno.ENOSYS
    if _libc is not None:
        if getattr(_libc, name)(*arguments) == 0:
            return
        code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
