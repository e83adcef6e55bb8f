"""The words of a mapping in the file, as a ScheduleConfig or as faults.

A job inherits what it does not say: its time as a whole, since half of one
schedule with half of another is neither, and every policy by itself.

Imports: errors, core.policy, config.  Must not import: yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from procsched.config.judgement import in_yaml, shape_faults
from procsched.config.rules import FOLLOWERS, TIME_FIELDS
from procsched.config.schedule import DEFAULTS, ScheduleConfig, complaints
from procsched.config.schedule_keys import SpanBody, TimesBody
from procsched.config.words import blank
from procsched.core.policy import Limits, Retry
from procsched.core.recycle import Recycle
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from procsched.config.document import Document
    from procsched.config.fault import Fault, KeyPath

_MERGED: Final = ("limits", "retry", "recycle")
"""Mappings of which a job may say a part, and inherits the rest."""


@dataclass(slots=True)
class Words:
    """What a mapping says about its schedule, as the file has it.

    Attributes:
        said: Field to value, what was inherited included.
        unreadable: Fields that were refused, here or where they come from.
    """

    said: dict[str, Any]
    unreadable: set[str]

    @classmethod
    def of(cls, body: Mapping[str, Any], bad: Collection[str]) -> Words:
        """Return the words of a mapping.

        Args:
            body: The mapping.
            bad: Keys of it that were refused already.
        """
        said = {
            key: body[key]
            for key in DEFAULTS
            if key in body
            and key not in bad
            and not (key in TIME_FIELDS and blank(body[key]))
        }
        return cls(said, {key for key in DEFAULTS if key in bad})

    @property
    def names_time(self) -> bool:
        """Whether they say when."""
        words = self.said.keys() | self.unreadable
        return not words.isdisjoint(TIME_FIELDS)

    def within(self, section: Words) -> Words:
        """Return these words with what they inherit from a section."""
        own = self.said.keys() | self.unreadable
        dropped = set(TIME_FIELDS) if self.names_time else set()
        for head, followers in FOLLOWERS.items():
            if head in own:
                dropped.update(followers)
        said = {key: section.said[key] for key in section.said.keys() - dropped}
        unreadable = section.unreadable - dropped - own
        for key in _MERGED:
            if isinstance(self.said.get(key), dict) and isinstance(said.get(key), dict):
                said[key] = {**said[key], **self.said[key]}
                own = own - {key}
        said.update({key: self.said[key] for key in self.said.keys() & own})
        return Words(said, unreadable | self.unreadable)

    def schedule(
        self, document: Document, path: KeyPath
    ) -> tuple[ScheduleConfig | None, list[Fault]]:
        """Return what they mean, or what is wrong with them.

        A field that is refused becomes unreadable, so that those who inherit it
        do not repeat the complaint.
        """
        faults: list[Fault] = []
        said = {key: value for key, value in self.said.items() if value is not None}
        if "limits" in said:
            try:
                said["limits"] = Limits(**said["limits"])
            except ScheduleConfigError as error:
                # Each was judged; it is two of them, perhaps one of a section's,
                # that contradict.
                faults.append(
                    _fault(document, (*path, "limits"), error, said["limits"])
                )
                self._give_up("limits", if_any=faults)
        if "retry" in said:
            said["retry"] = Retry(**said["retry"])
        for key, read in _READ_HERE:
            if key in said:
                said[key], found = read(document, (*path, key), said[key])
                faults += found
                self._give_up(key, if_any=found)
        readable = {key: said[key] for key in said.keys() - self.unreadable}
        for each in complaints(readable, self.unreadable):
            value = self.said.get(each.field)
            faults.append(_fault(document, (*path, each.field), each.error, value))
            self._give_up(each.field, if_any=[each])
        if faults or self.unreadable:
            return None, faults
        try:
            return ScheduleConfig(**said), []
        except ScheduleConfigError as error:
            key = "exclude" if "exclude" in said else "end"
            return None, [_fault(document, (*path, key), error, self.said[key])]

    def _give_up(self, key: str, *, if_any: Sequence[object]) -> None:
        if if_any:
            self.unreadable.add(key)
            self.said.pop(key, None)


def _fault(
    document: Document, path: KeyPath, error: ScheduleConfigError, value: object
) -> Fault:
    rule, remedy = in_yaml(error.problem), in_yaml(error.remedy)
    return document.fault(path, rule, remedy=remedy, value=value)


def _either(
    document: Document, path: KeyPath, items: Any
) -> tuple[list[ScheduleConfig], list[Fault]]:
    """Return the schedules of a list of mappings."""
    if not _is_list_of_mappings(items):
        rule, remedy = (
            "is no list of schedules",
            "Begin each with `- `, one below other",
        )
        return [], [document.fault(path, rule, remedy=remedy, value=items)]
    found, faults = [], []
    for index, body in enumerate(items):
        shape = shape_faults(document, TimesBody, (*path, index), body)
        words = Words.of(body, {key for key, _ in shape})
        schedule, wrong = words.schedule(document, (*path, index))
        faults += [*(fault for _, fault in shape), *wrong]
        if schedule is not None:
            found.append(schedule)
    return found, faults


def _recycle(
    document: Document, path: KeyPath, body: Any
) -> tuple[Recycle | None, list[Fault]]:
    """Return it as a value; its parts were judged, and here is what they are."""
    try:
        return Recycle(**body), []
    except ScheduleConfigError as error:
        return None, [_fault(document, path, error, body)]


def _is_list_of_mappings(items: Any) -> bool:
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(each, dict) for each in items)
    )


def _exclude(
    document: Document, path: KeyPath, items: Any
) -> tuple[list[Any], list[Fault]]:
    """Return dates and texts as they are, and `from` with `to` as pairs."""
    found, faults = [], []
    for index, item in enumerate(items if isinstance(items, list) else [items]):
        if not isinstance(item, dict):
            found.append(item)
            continue
        shape = shape_faults(document, SpanBody, (*path, index), item)
        faults += [fault for _, fault in shape]
        if not shape:
            found.append(tuple(item[key] for key in ("from", "to")))
    return found, faults


_READ_HERE: Final = (("exclude", _exclude), ("either", _either), ("recycle", _recycle))
"""Fields whose values lie deeper in the file than a schedule's own words."""
