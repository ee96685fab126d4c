"""Commands for whoever runs an installation: what is wrong, and what keeps it sound."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dockbell import log, settings
from dockbell.clock import SystemClock
from dockbell.errors import ConfigError
from dockbell.settings import Settings

app = typer.Typer()
console = Console(soft_wrap=True, highlight=False, markup=False)
ANY_DATABASE = typer.Option(help="A SQLite file or a postgresql:// address.")
AS_JSON = typer.Option("--json", help="Write JSON.")


@app.command()
def doctor(
    database: Annotated[str | None, ANY_DATABASE] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Say what is wrong with an installation and what to do; code 1 if something is. Changes nothing."""
    from dockbell.actions.doctor import examine
    from dockbell.app import installation_of
    from dockbell.store.database import open_database

    log.set_up(level="error")
    effective = effective_settings(database)
    need_file(effective)
    opened = open_database(effective.database)
    try:
        found = examine(opened, installation_of(effective), SystemClock(opened.clock_offset()))
    finally:
        opened.close()
    if as_json:
        rows = [{"code": each.code, "level": each.level, "text": each.text, "advice": each.advice} for each in found]
        print(json.dumps({"findings": rows}, ensure_ascii=False, indent=2))
    for each in () if as_json else found:
        console.print(f"{each.level}  {each.text}\n       {each.advice}  [{each.code}]")
    if not found and not as_json:
        console.print("Nothing is wrong with this installation.")
    if any(each.level == "wrong" for each in found):
        raise typer.Exit(1)


def effective_settings(database: str | None) -> Settings:
    return settings.read_settings(**({} if database is None else {"database": database}))


def need_file(effective: Settings) -> None:
    """Looking at a SQLite file must not make it."""
    file = effective.database_file()
    if file is not None and not file.exists():
        raise ConfigError(
            f"There is no database {Path(file).resolve()}.",
            hint="Name it in DOCKBELL_DATABASE; `dockbell serve` or `dockbell migrate` makes it.",
        )
