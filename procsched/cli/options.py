"""Options that several verbs share, and the settings they lead to.

Imports: config, constants.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from procsched.config.loader import ENV_VARIABLE, ConfigLoader
from procsched.constants import Sc

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.config.settings import Settings

STATE_DIR: Final = Path(".procsched")
"""In the working directory, where a newcomer finds it and can throw it away."""

environment_option = click.option(
    "--env",
    "environment",
    envvar=ENV_VARIABLE,
    default=Sc.ENV_DEV,
    show_default=True,
    metavar="ENV",
    help="Section of the configuration.",
)

config_option = click.option(
    "--config",
    "config",
    metavar="FILE",
    help="Configuration; default: $PROCSCHED_CONFIG, configs/config.yaml, config.yaml.",
)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a verb `--env` and `--config`."""
    return environment_option(config_option(command))


def load(environment: str, config: str | None) -> Settings:
    """Return the settings that the options name.

    Raises:
        ConfigError: If there is no such file or section, or it has faults.
    """
    look_here()
    return ConfigLoader.reload_config(environment, config)


def state_of(settings: Settings) -> Path:
    """Return where `procsched run` keeps history, logs and spools."""
    return settings.state_dir or STATE_DIR / settings.environment


def look_here() -> None:
    """Look for `job: package.module:Class` where the command is given.

    As `python -m` does; the console script's own directory is no help.
    """
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
