"""When and how a job runs, as a person says it.

A ScheduleConfig holds words, checked against each other when it is made, and
no zone data, parsed expression or anchor: it is small, it can be compared,
sent to a child and shared by any number of jobs.  What it means at a given
moment is a Trigger and a Policy of the core.

Imports: errors, constants, clock, core, config.rules, config.windows,
config.firing.  Must not import: yaml, pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final, cast

from procsched.clock import local_zone
from procsched.config.firing import described, trigger_of
from procsched.config.rules import DATE_FIELDS, TIME_FIELDS, settle
from procsched.config.windows import read_windows
from procsched.config.words import READERS, moment
from procsched.config.zone import zone_named
from procsched.constants import Sc
from procsched.core.calendar import Fold, Gap
from procsched.core.clock_changes import dst_effects
from procsched.core.cron import parse_cron
from procsched.core.delay import Delay
from procsched.core.policy import (
    CatchUp,
    Duration,
    Limits,
    Overlap,
    Retry,
    SupervisorLoss,
    count,
)
from procsched.core.schedule import Policy
from procsched.core.triggers import Trigger, upcoming
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from procsched.config.words import Complaint, Said
    from procsched.core.outcome import Outcome
    from procsched.core.recycle import Recycle

_ANY_TIME: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""From where a schedule without a start is tried: does it fire at all?"""


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """When a job runs, and what to do in every case.

    Args:
        every: A number of seconds, minutes, hours, days or weeks; or a clock
            time for a day or weekday.  See the table in config.timetable.
        time_unit: `Sc.SECOND` to `Sc.SUNDAY`, in any case.
        at: A clock time, `HH:MM` or `HH:MM:SS`, for a day or weekday.
        cron: Five fields, six with seconds first, or `@daily` and friends.
        after: Delay from the end of the last run.
        once: A single aware moment.
        either: Schedules of which any may fire; only their times count.
        start: Nothing fires before it.  An interval's first firing is then at
            `start`, and days and weeks are counted from its date.
        end: Nothing fires after it.
        exclude: Dates, hours and spans without firings; see config.windows.
        timezone: IANA name or ZoneInfo; None for the zone of the host.
        dst_gap: A wall time that the clock leaves out: run at the end of the
            gap, or skip.
        dst_fold: A wall time that comes twice: first, second or both.
        jitter: Each start is delayed by a random time below it.
        spread: All starts are delayed by one time below it, fixed per job.
        mode: `Sc.PARALLEL` or `Sc.SEQUENTIAL`.
        recycle: When the worker of a sequence is replaced; None for only when a
            job has harmed it.
        overlap: When a run of the job is still going: skip, queue, replace or
            parallel; "parallel(3)" for three at the most.
        parallel: Runs at once with overlap="parallel"; None for no cap.
        catch_up: Which missed times are run late: latest, none or all.
        catch_up_window: How old a missed time may be.
        catch_up_max: How many are run late at the most.
        start_deadline: How long after its time a run may start; None for ever.
        retry: A Retry, or a number of further attempts.
        limits: None for those of the job's class.
        priority: -100 to 100; higher starts first when slots are short.
        breaker: Failures in a row that suspend the schedule; None for never.
        breaker_causes: Outcomes that count for it; None for every failure.
        breaker_probe: Wait before a suspended one is tried; None for by hand.
        on_supervisor_loss: A run whose supervisor was killed: kill it within a
            second, or let it finish, its report being left for the next one.

    Durations are seconds, `timedelta` or a text such as "10m".  None is as
    good as unsaid.

    Raises:
        ScheduleConfigError: If it says nothing, two things, or nonsense.
    """

    every: int | str | time | None = None
    time_unit: str | None = None
    at: str | time | None = None
    _: KW_ONLY
    cron: str | None = None
    after: Duration | str | None = None
    once: datetime | str | None = None
    either: Sequence[ScheduleConfig] | None = None
    start: datetime | str | None = None
    end: datetime | str | None = None
    exclude: Any = ()
    timezone: str | tzinfo | None = None
    dst_gap: str = Gap.RUN
    dst_fold: str = Fold.FIRST
    jitter: Duration | str | None = None
    spread: Duration | str | None = None
    mode: str = Sc.PARALLEL
    recycle: Recycle | None = None
    overlap: str = Overlap.SKIP
    parallel: int | None = None
    catch_up: str = CatchUp.LATEST
    catch_up_window: Duration | str = timedelta(days=1)
    catch_up_max: int = 10
    start_deadline: Duration | str | None = None
    retry: Retry | int | None = None
    limits: Limits | None = None
    priority: int = 0
    breaker: int | None = None
    breaker_causes: Iterable[str] | None = None
    breaker_probe: Duration | str | None = None
    on_supervisor_loss: str = SupervisorLoss.KILL

    def __post_init__(self) -> None:
        """Put each word into its canonical form; refuse contradictions."""
        said = {}
        put = object.__setattr__
        for name, default in DEFAULTS.items():
            value = getattr(self, name)
            if value is default:
                continue
            if value is None:
                put(self, name, default)
            # 0 == False, and False is no priority.
            elif type(value) is not type(default) or value != default:
                said[name] = value
        words = dict(said)
        for complaint in complaints(words):
            raise complaint.error
        for name in said.keys() | words.keys():
            put(self, name, words.get(name, DEFAULTS[name]))
        if self.exclude or (self.start and self.end):
            self._refuse_never()

    def _refuse_never(self) -> None:
        start = cast("datetime | None", self.start)
        if self.end is not None and start is None:
            return
        anchor = start or _ANY_TIME
        before = anchor - timedelta(microseconds=1)
        if self.trigger(anchor, UTC).next_after(before) is None:
            raise ScheduleConfigError(
                f"the schedule, {self.describe(UTC)}, never fires",
                remedy="Give it a longer time between start and end, or exclude less",
            )

    def zone(self, default: tzinfo | None = None) -> tzinfo:
        """Return the schedule's zone, else the default, else the host's."""
        if self.timezone is not None:
            return zone_named(str(self.timezone))
        return default or local_zone()

    def trigger(self, anchor: datetime, default_zone: tzinfo | None = None) -> Trigger:
        """Return what the core asks for firing times.

        Args:
            anchor: When the job was first scheduled, aware: the zero of
                intervals, and the first day that days and weeks count from.
            default_zone: For a schedule that names none; None for the host's.
        """
        return trigger_of(self, moment(anchor, "anchor"), self.zone(default_zone))

    def timing(self, default_zone: tzinfo | None = None) -> str:
        """Return the time part in words: the same words are the same schedule."""
        said = [(name, getattr(self, name)) for name in _TIMING_FIELDS]
        return repr((said, str(self.zone(default_zone))))

    def policy(self, default_limits: Limits | None = None) -> Policy:
        """Return what the core does in every case.

        Args:
            default_limits: Those of the job's class; what the schedule says wins.
        """
        return Policy(
            overlap=Overlap(self.overlap),
            parallel=self.parallel,
            catch_up=CatchUp(self.catch_up),
            catch_up_window=cast("timedelta", self.catch_up_window),
            catch_up_max=self.catch_up_max,
            start_deadline=cast("timedelta | None", self.start_deadline),
            retry=cast("Retry | None", self.retry),
            limits=self.limits or default_limits or Limits(),
            recycle=self.recycle,
            priority=self.priority,
            breaker=self.breaker,
            breaker_causes=cast("frozenset[Outcome] | None", self.breaker_causes),
            breaker_probe=cast("timedelta | None", self.breaker_probe),
            on_supervisor_loss=SupervisorLoss(self.on_supervisor_loss),
        )

    def delay(self, key: str) -> Delay | None:
        """Return the delay of each start; None when none was asked for.

        Args:
            key: Whose delay it is: the names of job and host.
        """
        if self.jitter is None and self.spread is None:
            return None
        none = timedelta(0)
        return Delay(
            jitter=cast("timedelta | None", self.jitter) or none,
            spread=cast("timedelta | None", self.spread) or none,
            key=key,
        )

    def upcoming(self, n: int, after: datetime | None = None) -> list[datetime]:
        """Return the next firing times, in the schedule's zone.

        Args:
            n: How many; fewer come when the schedule ends.
            after: Aware; firings are strictly later, and intervals count from
                it.  None for now.

        Raises:
            ScheduleConfigError: If `n` is no whole number, or `after` is naive.
        """
        count(n, name="n", least=0)
        after = moment(datetime.now(UTC) if after is None else after, "after")
        zone = self.zone()
        found = upcoming(self.trigger(after, zone), n, after)
        return [each.astimezone(zone) for each in found]

    def describe(self, default_zone: tzinfo | None = None) -> str:
        """Return it in one line: "every Friday at 14:00 Europe/Berlin"."""
        return described(self, self.zone(default_zone))

    def warnings(
        self, default_zone: tzinfo | None = None, *, now: datetime | None = None
    ) -> list[str]:
        """Return what is allowed and yet may surprise.

        A time of day that the next changes of the clock leave out or repeat,
        and a single moment that has passed.
        """
        now = now or datetime.now(UTC)
        if self.either:
            zone = self.zone(default_zone)
            return [
                line for each in self.either for line in each.warnings(zone, now=now)
            ]
        if self.cron and parse_cron(self.cron).repeats:
            # It fires at each real minute that matches, as everyone expects.
            return []
        found = [
            f"{self.describe(default_zone)}: {effect.text}"
            for effect in dst_effects(self.trigger(now, default_zone), now)
            if effect.affected
        ]
        if isinstance(self.once, datetime) and self.once <= now:
            found.append(f"{self.describe(default_zone)}: that moment has passed")
        return found


DEFAULTS: Final[dict[str, Any]] = {
    each.name: each.default for each in fields(ScheduleConfig)
}
"""What each field is when nothing is said."""


def complaints(said: Said, unreadable: Iterable[str] = ()) -> list[Complaint]:
    """Return all that is wrong with what was said, and make it canonical.

    Args:
        said: Field to value, without those unsaid; changed in place.
        unreadable: Fields that were refused before, so that no rule asks for them.
    """
    return settle(said, _READERS, unreadable)


def _either(value: Any, name: str) -> tuple[ScheduleConfig, ...]:
    if isinstance(value, str | ScheduleConfig) or not isinstance(value, Sequence):
        value = ()
    if not value or not all(isinstance(each, ScheduleConfig) for each in value):
        raise ScheduleConfigError(
            f"{name} is no list of schedules",
            remedy="Write either=[ScheduleConfig(...), ScheduleConfig(...)]",
        )
    for index, each in enumerate(value):
        for field, default in DEFAULTS.items():
            if field not in _TIMING and getattr(each, field) != default:
                raise ScheduleConfigError(
                    f"{name}[{index}] says {field}={getattr(each, field)!r}, yet of "
                    f"its schedules only the times count",
                    remedy=f"Write `{field}` beside `either`, for all of them",
                )
    return tuple(value)


_TIMING: Final = frozenset({*TIME_FIELDS, *DATE_FIELDS})

_TIMING_FIELDS: Final = tuple(name for name in DEFAULTS if name in _TIMING)

_READERS: Final = {**READERS, "either": _either, "exclude": read_windows}
