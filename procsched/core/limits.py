"""What one run may use, and what it finds around itself when it starts.

The words are checked here, against their kind and against each other; whether
this host can enforce them is asked where a run starts (workers.rlimits).

Imports: errors, core.amounts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final

from procsched.core.amounts import Duration, Size, count, duration, size_in_bytes
from procsched.errors import ScheduleConfigError, nearest

STOP_GRACE: Final = timedelta(seconds=10)
"""From SIGTERM to SIGKILL.

supervisord waits 10 s, Erlang/OTP 5 s, gunicorn 30 s.  Ten lets a job close a
database without making Ctrl-C feel ignored.
"""

STARTUP_LIMIT: Final = timedelta(seconds=60)
"""From fork to the first line of `goal()`: the imports of the job's module.

systemd allows 90 s for a service to be ready (DefaultTimeoutStartSec).
"""

NICE: Final = range(-20, 20)
"""Of setpriority(2): the higher, the more a run yields to others."""

ALL_VARIABLES: Final = "*"
"""In `pass_env`: every variable that the scheduler has."""

OWN_VARIABLES: Final = (
    "PROCSCHED_RUN_ID",
    "PROCSCHED_JOB",
    "PROCSCHED_NOMINAL_TIME",
    "PROCSCHED_ATTEMPT",
)
"""What the scheduler tells each run in its environment."""

_LARGEST_ID: Final = 2**32 - 2
"""Of a user or group; the next one means "leave it" (setresuid(2))."""

_IO_CLASSES: Final = ("idle", "best-effort", "realtime")

_IO_CLASS: Final = re.compile(r"(idle|(?:best-effort|realtime)(?:\([0-7]\))?)\Z")

_UMASK: Final = re.compile(r"(?:0o?)?[0-7]{1,3}\Z")

_MISREAD_UMASKS: Final = {22: "022", 27: "027", 77: "077"}
"""Numbers that only somebody who meant them in octal writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use before it is ended, and its surroundings.

    None means no limit, or as the scheduler's own.  A limit of the whole run
    needs a cgroup: a subtree of cgroup v2 that the scheduler may write, or
    root on cgroup v1.  What enforced a limit is recorded with each run.

    Args:
        wall: From the first line of `goal()` to its end.
        cpu: CPU time of the run, all its processes together where a cgroup or
            the keeper's look at the tree counts it; of each process in any
            case, rounded up to whole seconds because RLIMIT_CPU counts in them
            (getrlimit(2)).
        memory: Memory of the run, all its processes together: by a cgroup,
            where the kernel kills the run that goes over it, else by the
            keeper's look at the tree four times a second.  Without a cgroup
            also private memory of each process (RLIMIT_DATA), where going over
            it shows as MemoryError in the job.
        processes: Processes of the run at once, threads included, by a cgroup
            (pids.max); without one, those of the job's user while the run
            forks (RLIMIT_NPROC), from which root is exempt (getrlimit(2)).
        open_files: Descriptors of each process (RLIMIT_NOFILE).
        file_size: Size of any file a process writes (RLIMIT_FSIZE).
        output: What is kept of stdout and stderr together: head and tail.
        startup: From fork to the first line of `goal()`.
        grace: From the soft stop (SIGTERM) to the kill.
        required: Refuse to start a run whose limits cannot all be enforced.
        nice: From -20, which needs root, to 19 (setpriority(2)).
        io_class: "idle", "best-effort" or "realtime", the latter two with a
            level from 0 (first) to 7, as in "best-effort(7)" (ioprio_set(2)).
        cpu_affinity: Numbers of the CPUs it may run on (sched_setaffinity(2)).
        cwd: The directory it starts in, an absolute path.
        umask: Bits that files it makes do not get: octal text "027" or a number;
            kept as three octal digits.
        env: Variables set for it, name to text; kept as pairs.
        pass_env: Names of the scheduler's variables that it gets beside the safe
            ones (workers.environment); "*" for all.
        user: Name or number of the user it runs as; needs root.
        group: Name or number of its group; None for the user's own.
        no_new_privs: Whether it and what it starts can never gain privileges
            by exec (prctl(2)); None for yes where `user` is set.
        network: False for a network of its own, with nothing but a loopback
            in it (network_namespaces(7)).
        private_tmp: Whether it has a /tmp and /var/tmp of its own, empty at its
            start and gone at its end (mount_namespaces(7)).

    Raises:
        ScheduleConfigError: If a value is not of its kind, or two contradict.
    """

    wall: Duration | None = None
    cpu: Duration | None = None
    memory: Size | None = None
    processes: int | None = None
    open_files: int | None = None
    file_size: Size | None = None
    output: Size | None = "10MiB"
    startup: Duration | None = STARTUP_LIMIT
    grace: Duration = STOP_GRACE
    required: bool = False
    nice: int | None = None
    io_class: str | None = None
    cpu_affinity: Iterable[int] | None = None
    cwd: Any = None
    umask: int | str | None = None
    env: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    pass_env: Iterable[str] = ()
    user: str | int | None = None
    group: str | int | None = None
    no_new_privs: bool | None = None
    network: bool | None = None
    private_tmp: bool = False

    def __post_init__(self) -> None:
        """Normalise each value, then look at what contradicts another."""
        for name, read in _READERS.items():
            value = getattr(self, name)
            if value is not None or name in _NEVER_NONE:
                object.__setattr__(self, name, read(value, name))
        if self.private_tmp and self.cwd is not None:
            _refuse_hidden(self.cwd)

    def seconds(self, name: str) -> float | None:
        """Return a duration by name in seconds; None where there is no limit."""
        value = getattr(self, name)
        return value.total_seconds() if isinstance(value, timedelta) else None

    def bytes(self, name: str) -> int | None:
        """Return a size by name in bytes; None where there is no limit."""
        value = getattr(self, name)
        return value if isinstance(value, int) else None


def _refuse_hidden(cwd: str) -> None:
    for place in ("/tmp", "/var/tmp"):  # noqa: S108 - the name, not a file in it
        if f"{cwd}/".startswith(f"{place}/") and cwd != place:
            raise ScheduleConfigError(
                f"cwd={cwd!r} with private_tmp=True, which begins with an empty "
                f"{place}",
                remedy="Write a directory elsewhere, or private_tmp=False",
            )


def _length(value: object, name: str) -> timedelta:
    return duration(value, name=name)


def _grace(value: object, name: str) -> timedelta:
    return duration(value, name=name, zero=True)


def _size(value: object, name: str) -> int:
    return size_in_bytes(value, name=name)


def _count(value: object, name: str) -> int:
    return count(value, name=name)


def _flag(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ScheduleConfigError(
        f"{name}={value!r} is neither true nor false",
        remedy=f"Write {name}=True or {name}=False",
    )


def _nice(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in NICE:
        return value
    raise ScheduleConfigError(
        f"{name}={value!r} is no whole number from -20 to 19",
        remedy="Write 19 for a run that yields to all others, 0 for an ordinary one",
    )


def _io_class(value: object, name: str) -> str:
    word = value.strip().casefold() if isinstance(value, str) else ""
    if _IO_CLASS.match(word):
        return word
    close = nearest(word, _IO_CLASSES) if word else None
    raise ScheduleConfigError(
        f"{name}={value!r} is no class of input and output",
        remedy=f"Write {name}='{close or 'idle'}', one of 'idle', 'best-effort', "
        f"'realtime'; with a level as in 'best-effort(7)'",
    )


def _cpus(value: object, name: str) -> tuple[int, ...]:
    numbers: list[Any] = []
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        numbers = list(value)
    if numbers and all(type(each) is int and each >= 0 for each in numbers):
        return tuple(sorted(set(numbers)))
    raise ScheduleConfigError(
        f"{name}={value!r} is no list of CPUs",
        remedy=f"Write their numbers, from 0, as in {name}=[0, 1]; or {name}=None "
        f"for all",
    )


def _directory(value: object, name: str) -> str:
    path = value.__fspath__() if hasattr(value, "__fspath__") else value
    if isinstance(path, str) and path.startswith("/") and "\0" not in path:
        return path.rstrip("/") or "/"
    raise ScheduleConfigError(
        f"{name}={value!r} is no absolute path",
        remedy=f"Write it from the root, as in {name}='/srv/reports'",
    )


def _umask(value: object, name: str) -> str:
    """Return it as three octal digits, which cannot be misread a second time."""
    if isinstance(value, str) and _UMASK.match(value.strip()):
        return f"{int(value.strip().removeprefix('0o'), 8):03o}"
    if type(value) is int and value in _MISREAD_UMASKS:
        raise ScheduleConfigError(
            f"{name}={value} is {value:03o} in octal, which nobody means",
            remedy=f"Write {name}='{_MISREAD_UMASKS[value]}', in quotes, or "
            f"'{value:03o}' if you do mean it",
        )
    if type(value) is int and 0 <= value <= 0o777:  # noqa: PLR2004 - nine bits
        return f"{value:03o}"
    raise ScheduleConfigError(
        f"{name}={value!r} is no mask of permissions",
        remedy=f"Write three octal digits as a text, as in {name}='027'",
    )


def _variables(value: object, name: str) -> tuple[tuple[str, str], ...]:
    pairs: Iterable[Any] = value.items() if isinstance(value, Mapping) else ()
    if not isinstance(value, Mapping | str) and isinstance(value, Iterable):
        # As another Limits holds them; JSON makes lists of the pairs.
        pairs = (each if isinstance(each, list | tuple) else (each,) for each in value)
    elif value is not None and not isinstance(value, Mapping):
        pairs = ((value,),)
    found = [tuple(pair) for pair in pairs]
    for pair in found:
        _check_variable(pair, name)
    return tuple(sorted(found))


def _check_variable(pair: tuple[Any, ...], name: str) -> None:
    texts = len(pair) == 2 and all(  # noqa: PLR2004 - name and value
        isinstance(each, str) and "\0" not in each for each in pair
    )
    if not texts or not pair[0] or "=" in pair[0]:
        shown = f"{pair[0]!r}={pair[1]!r}" if len(pair) > 1 else repr(pair[0])
        raise ScheduleConfigError(
            f"{name} has {shown}, which is no variable",
            remedy=f"Write names and values as texts, as in {name}={{'LANG': 'C'}}",
        )
    if pair[0] in OWN_VARIABLES:
        raise ScheduleConfigError(
            f"{name} sets {pair[0]!r}, by which a run is told what it is",
            remedy="Choose another name",
        )


def _names(value: object, name: str) -> tuple[str, ...]:
    words = (value,) if value == ALL_VARIABLES else value
    if words is None:
        return ()
    if not isinstance(words, str | Mapping) and isinstance(words, Iterable):
        found = tuple(words)
        if all(isinstance(each, str) and each and "=" not in each for each in found):
            return tuple(sorted(set(found)))
    raise ScheduleConfigError(
        f"{name}={value!r} is no list of names of variables",
        remedy=f"Write {name}=['AWS_PROFILE'], or {name}='*' for all of them",
    )


def _account(value: object, name: str) -> str | int:
    if isinstance(value, str) and value.strip() == value and value.isprintable():
        if value:
            return value
    elif type(value) is int and 0 <= value <= _LARGEST_ID:
        return value
    raise ScheduleConfigError(
        f"{name}={value!r} is neither a name nor a number of a {name}",
        remedy=f"Write {name}='nobody', say, or its number",
    )


_READERS: Final[dict[str, Callable[[Any, str], Any]]] = {
    **dict.fromkeys(("wall", "cpu", "startup"), _length),
    "grace": _grace,
    **dict.fromkeys(("memory", "file_size", "output"), _size),
    **dict.fromkeys(("processes", "open_files"), _count),
    **dict.fromkeys(("required", "no_new_privs", "network", "private_tmp"), _flag),
    "nice": _nice,
    "io_class": _io_class,
    "cpu_affinity": _cpus,
    "cwd": _directory,
    "umask": _umask,
    "env": _variables,
    "pass_env": _names,
    **dict.fromkeys(("user", "group"), _account),
}

_NEVER_NONE: Final = frozenset({"grace", "required", "private_tmp", "env", "pass_env"})

LIMIT_NAMES: Final = tuple(each.name for each in fields(Limits))
