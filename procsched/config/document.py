"""A YAML file as plain values that remember where they were written.

PyYAML is asked for nodes, not for objects: a node knows its line and column,
and a mapping that is still a list of pairs knows that a key came twice.  What
is wrong with the text is a Fault with its place; faults are collected, since a
person who corrects a file wants to hear of all of them.

Imports: config.fault, PyYAML.  Must not import: what the keys mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import yaml

from procsched.config.fault import Fault, FaultyFileError, KeyPath, dotted, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same rules, ten times slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_DEPTH: Final = 50
"""Of values in values.  Ours need 8; libyaml's composer dies of 100,000 (ran)."""

MAX_ALIASED: Final = 100_000
"""Values that aliases may repeat: enough for jobs that share their limits, and
the end of ten lines that unfold to a billion."""

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "timestamp", "str")
}
_NUMBERS: Final = (f"{_TAG}int", f"{_TAG}float")

_SYNTAX_REMEDY: Final = (
    "Indent with spaces, write `key: value`, and put quotes around a text that "
    "begins with a sign or has `: ` inside"
)


class Spelling(Enum):
    """What the keys of a mapping are."""

    WORDS = auto()
    """Ours: any case, read in lower case."""
    NAMES = auto()
    """The reader's: kept as written, yet two may not differ in case alone."""
    EXACT = auto()
    """Somebody else's: kept as written, and case tells them apart."""


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, and the place of each.

    Attributes:
        file: Its name as the reader gave it.
        value: The top of it: dicts, lists and scalars.
        keys: Line and column of the key (or list item) at a path.
        values: Line and column of the value at a path.
        faults: What was wrong with the text itself.
    """

    file: str
    value: Any
    keys: dict[KeyPath, tuple[int, int]]
    values: dict[KeyPath, tuple[int, int]]
    faults: tuple[Fault, ...]

    def fault(
        self,
        path: KeyPath,
        rule: str,
        *,
        remedy: str,
        value: object,
        at_key: bool = False,
    ) -> Fault:
        """Return a fault at the value of a path, or at its key.

        A path that was not written is placed at the nearest one above it.
        """
        places = self.keys if at_key or value is None else self.values
        here = path
        while here and here not in places:
            here = here[:-1]
        line, column = places.get(here, (1, 1))
        return Fault(self.file, line, column, dotted(path), shown(value), rule, remedy)


def compose(
    text: str, *, file: str, spelling: Callable[[KeyPath], Spelling]
) -> Document:
    """Return the values of a text with their places.

    Args:
        text: One YAML document.
        file: The name that faults carry.
        spelling: What the keys of the mapping at a path are.

    Raises:
        FaultyFileError: If it is no YAML, or unfolds without bounds.
    """
    walk = _Walk(_Loader(text), file, text, spelling)
    try:
        walk.check_depth()
        node = walk.loader.get_single_node()
        value = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FaultyFileError((walk.syntax_fault(mark, str(error.problem)),)) from None
    finally:
        walk.loader.dispose()
    return Document(file, value, walk.keys, walk.values, tuple(walk.faults))


@dataclass(slots=True)
class _Walk:
    """One pass over the nodes."""

    loader: Any
    file: str
    text: str
    spelling: Callable[[KeyPath], Spelling]
    keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _aliased: int = 0

    def check_depth(self) -> None:
        """Refuse what would overflow the C stack of the composer.

        The events cost no stack, and a tenth of the whole reading.
        """
        depth = 0
        for event in yaml.parse(self.text, Loader=type(self.loader)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    self._refuse_depth(event.start_mark)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the plain value of a node and note its place."""
        self.values[path] = _place(node.start_mark)
        self._count(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._refuse_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self.keys[*path, index] = _place(item.start_mark)
                items.append(self.value(item, (*path, index)))
            return items
        return self._mapping(node, path)

    def _count(self, node: yaml.Node, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            self._refuse_depth(node.start_mark)
        if id(node) in self._seen:
            self._aliased += 1
            if self._aliased > MAX_ALIASED:
                fault = self.syntax_fault(
                    node.start_mark, f"aliases repeat more than {MAX_ALIASED:,} values"
                )
                raise FaultyFileError((fault,))
        self._seen.add(id(node))

    def _refuse_depth(self, mark: Any) -> None:
        fault = self.syntax_fault(mark, f"values nest more than {MAX_DEPTH} deep")
        raise FaultyFileError((fault,))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag in _NUMBERS and ":" in node.value:
            # YAML 1.1 reads 14:00 as the number 840, to base 60.  It is a time.
            return node.value
        if node.tag not in _SCALARS:
            self._refuse_tag(node, path)
            return node.value
        try:
            return self.loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            self._fault(
                node,
                path,
                f"reads like a {node.tag.removeprefix(_TAG)} and is none: {error}",
                "Correct it, or put it in quotes for a text",
            )
            return None

    def _refuse_tag(self, node: yaml.Node, path: KeyPath) -> None:
        if node.tag not in _SCALARS | {f"{_TAG}seq", f"{_TAG}map"}:
            self._fault(
                node,
                path,
                f"has the tag {node.tag!r}",
                "Write it without a tag: lists, mappings, texts, numbers, dates, "
                "true, false",
            )

    def _fault(self, node: yaml.Node, path: KeyPath, rule: str, remedy: str) -> None:
        line, column = _place(node.start_mark)
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        self.faults.append(
            Fault(self.file, line, column, dotted(path), shown(value), rule, remedy)
        )

    def _mapping(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        spelling = self.spelling(path)
        found: dict[str, Any] = {}
        taken: dict[str, int] = {}
        for key_node, value_node, merged in _pairs(node):
            key = self._key(key_node, path)
            if key is None:
                continue
            name = key.casefold() if spelling is Spelling.WORDS else key
            same = key if spelling is Spelling.EXACT else key.casefold()
            if same not in taken:
                taken[same] = key_node.start_mark.line + 1
                self.keys[*path, name] = _place(key_node.start_mark)
                found[name] = self.value(value_node, (*path, name))
            elif not merged:
                self._fault(
                    key_node,
                    (*path, name),
                    f"is written twice, first in line {taken[same]}",
                    "Keep one of the two",
                )
        return found

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        self._fault(node, path, "has a key that is not a text", "Put quotes around it")
        return None

    def syntax_fault(self, mark: Any, rule: str) -> Fault:
        """Return the fault of a text that is no YAML, with its line."""
        lines = self.text.splitlines()
        line, column = (len(lines) or 1, 1) if mark is None else _place(mark)
        text = lines[line - 1].strip() if line <= len(lines) else ""
        return Fault(
            self.file, line, column, "document", shown(text), rule, _SYNTAX_REMEDY
        )


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
    """Yield keys and values of a mapping, its own before those merged with `<<`."""
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        else:
            yield key, value, False
    for source in merged:
        if isinstance(source, yaml.MappingNode):
            for key, value, _ in _pairs(source):
                yield key, value, True
