"""The configuration file of this process: found, read, checked, and kept.

A file is taken whole or not at all: one fault anywhere and the settings in use
stay as they are.

Imports: errors, constants, config.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from procsched.config.fault import Fault, FaultyFileError
from procsched.config.settings import Settings
from procsched.constants import Sc
from procsched.errors import ConfigError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procsched.config.document import Document

CONFIG_VARIABLE: Final = "PROCSCHED_CONFIG"
"""Environment variable with the path of the file."""

ENV_VARIABLE: Final = "PROCSCHED_ENV"
"""Environment variable with the section that `settings()` loads."""

PLACES: Final = ("configs/config.yaml", "config.yaml")
"""Where a file is looked for, in the working directory."""


class ConfigLoader:
    """The settings of this process."""

    _loaded: ClassVar[Settings | None] = None

    @classmethod
    def reload_config(
        cls, which_env: str = Sc.ENV_DEV, path: str | os.PathLike[str] | None = None
    ) -> Settings:
        """Read the file and use its section from now on.

        Args:
            which_env: The section, in any case.
            path: None for $PROCSCHED_CONFIG, else configs/config.yaml, else
                config.yaml, in the working directory.

        Raises:
            ConfigError: If there is no such file or section, or the file has
                faults; the settings in use stay as they are.
        """
        settings, faults = _read(cls.find(path), which_env)
        if faults:
            raise FaultyFileError(tuple(faults))
        cls._loaded = settings[0]
        return settings[0]

    @classmethod
    def settings(cls) -> Settings:
        """Return the settings in use; with none, load them from the usual places.

        The section is then $PROCSCHED_ENV, else DEV.  Without a file anywhere
        it is the built-in default.

        Raises:
            ConfigError: If there is a file that cannot be used.
        """
        if cls._loaded is not None:
            return cls._loaded
        environment = os.environ.get(ENV_VARIABLE) or Sc.ENV_DEV
        if _found() is None:
            return Settings.built_in(environment)
        return cls.reload_config(environment)

    @classmethod
    def reset(cls) -> None:
        """Forget the settings in use; for tests."""
        cls._loaded = None

    @classmethod
    def find(cls, path: str | os.PathLike[str] | None = None) -> Path:
        """Return the file to read: the one named, or the one in the usual places.

        Raises:
            ConfigError: If none is named and none is there.
        """
        file = _found() if path is None else Path(path)
        if file is None:
            raise ConfigError(
                f"there is no configuration file: ${CONFIG_VARIABLE} is not set, and "
                f"neither {' nor '.join(PLACES)} is in {Path.cwd()}",
                remedy=f"Write one, or set ${CONFIG_VARIABLE} to the path of yours",
            )
        return file

    @classmethod
    def sections(
        cls, path: str | os.PathLike[str], which_env: str | None = None
    ) -> list[Settings]:
        """Return the settings of every section, or of one; none is used.

        Raises:
            ConfigError: If the file cannot be read or has faults.
        """
        settings, faults = _read(Path(path), which_env, alone=which_env is not None)
        if faults:
            raise FaultyFileError(tuple(faults))
        return settings

    @classmethod
    def check(
        cls, path: str | os.PathLike[str], which_env: str | None = None
    ) -> list[Fault]:
        """Return all faults of a file; it is not used.

        Args:
            path: The file.
            which_env: Tell the faults of this section alone; None for all.

        Raises:
            ConfigError: If the file cannot be read, or has no such section.
        """
        try:
            return _read(Path(path), which_env, alone=which_env is not None)[1]
        except FaultyFileError as error:
            return list(error.faults)


def _found() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in map(Path, PLACES) if path.exists()), None)


def _read(
    path: Path, which_env: str | None, *, alone: bool = False
) -> tuple[list[Settings], list[Fault]]:
    """Return the settings of one section, or of all, and all faults.

    Args:
        path: The file.
        which_env: The section to return; None for all.
        alone: Whether faults of other sections play no role.
    """
    # On first use: a script that names ConfigLoader is executed again for its
    # runs, and they need no reader of files.
    from procsched.config.document import compose
    from procsched.config.section import Section, spelling
    from procsched.config.text import read_text

    document = compose(read_text(path), file=str(path), spelling=spelling)
    _require_sections(document)
    wanted = None if which_env is None else _section(document, which_env)
    faults = list(document.faults)
    found = []
    for name in document.value:
        if alone and name != wanted:
            continue
        section = Section(document, name)
        settings = section.settings()
        faults += section.faults
        if settings is not None and wanted in {None, name}:
            found.append(settings)
    return found, sorted(faults, key=lambda fault: (fault.line, fault.column))


def _require_sections(document: Document) -> None:
    """Refuse a file without environments."""
    if isinstance(document.value, dict) and document.value:
        return
    if document.faults:
        raise FaultyFileError(document.faults)
    empty = document.value is None or document.value == {}
    fault = document.fault(
        (),
        "the file is empty" if empty else "the file is not a mapping",
        remedy="Write a section for each environment, such as `DEV:`, and its keys "
        "below it",
        value=document.value,
    )
    raise FaultyFileError((fault,))


def _section(document: Document, which_env: str) -> str:
    """Return the name of a section as the file has it.

    Raises:
        ConfigError: If there is none.
    """
    names: Sequence[str] = tuple(document.value)
    for name in names:
        if name.casefold() == str(which_env).strip().casefold():
            return name
    close = nearest(str(which_env), names)
    exist = f"The sections are {listed(names)}"
    raise ConfigError(
        f"{document.file} has no section {which_env!r}",
        remedy=f"Did you mean '{close}'? {exist}" if close else exist,
    )
