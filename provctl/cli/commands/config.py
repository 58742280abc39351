"""`provctl config`: what is set, where it comes from, and whether it is right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple

import click

from provctl.cli.completion.param_types import KEY
from provctl.cli.options.global_options import SuggestingGroup
from provctl.cli.session import Session, emit, print_message
from provctl.errors import NotFound

if TYPE_CHECKING:
    from provctl.config.registry import SettingKey


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Show and check the configuration."""


@config.command()
@click.argument("names", metavar="[KEY]...", nargs=-1, type=KEY)
@click.pass_obj
def show(session: Session, names: Tuple[str, ...]) -> None:
    """Show all settings, or those named, with their values and where they come from."""
    from provctl.base.suggest import did_you_mean
    from provctl.config.registry import KEYS, SPELLINGS

    for name in names:
        if name not in SPELLINGS:
            message = f"unknown setting {name}"
            hint = did_you_mean(name, SPELLINGS, "see: provctl config show")
            raise NotFound(message, hint=hint)
    wanted = {SPELLINGS[name].name for name in names}

    rows = [
        {
            "key": key.name,
            "value": _value(session, key),
            "origin": session.loaded.origins[key.name],
            "default": key.default,
            "accepts": key.description.kind.expected,
            "help": key.description.help,
            "aliases": key.description.aliases,
            "variables": key.variables,
        }
        for key in KEYS
        if not names or key.name in wanted
    ]
    emit(session, rows, ("key", "value", "origin"), name="key", fits=False)


@config.command()
@click.pass_obj
def path(session: Session) -> None:
    """Show which configuration files are used; later ones override earlier ones."""
    from provctl.config.paths import config_files

    files = config_files(environ=session.environ, config_file=session.config_file)
    rows = [
        {
            "role": file.role,
            "exists": os.access(file.path, os.F_OK),
            "file": str(file.path),
        }
        for file in files
    ]
    emit(session, rows, ("role", "exists", "file"), name="file", fits=False)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def check(session: Session, file: Optional[Path]) -> None:
    """Check FILE, or all configuration; exit with 2 if it is invalid."""
    from provctl.config.load import check_file

    loaded = check_file(file.absolute()) if file else session.loaded
    given = sum(origin != "default" for origin in loaded.origins.values())
    if loaded.settings.port_conflict is not None:
        print_message(loaded.settings.port_conflict)
    what = str(file) if file else "configuration"
    rows = [{"checked": what, "valid": True, "settings": given}]
    emit(session, rows, ("checked", "valid", "settings"), name="checked")


def _value(session: Session, key: SettingKey) -> object:
    from provctl.config.registry import value_of

    settings = session.loaded.settings
    # What is not set, but follows from other things, is shown as it follows.
    derived = {
        "storage.data_dir": str(session.state_dir),
        "orchestrator.endpoint": settings.endpoint,
    }
    return derived.get(key.name, value_of(settings, key.name))
