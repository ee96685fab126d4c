"""Commands for whoever runs an installation: what is wrong, and what keeps it sound."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dockbell import log, settings
from dockbell.clock import SystemClock
from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.findings import Finding, of_settings
from dockbell.errors import ConfigError, DockbellError
from dockbell.settings import Settings
from dockbell.store.database import Database, open_database

EX_CONFIG = 78
SEALED_AT_ONCE = 20
PAUSE_S = 0.05
app = typer.Typer()
audit = typer.Typer(no_args_is_help=True, help="The audit trail.")
app.add_typer(audit, name="audit")
console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
ANY_DATABASE = typer.Option(help="A SQLite file or a postgresql:// address.")
AS_JSON = typer.Option("--json", help="Write JSON.")


@app.command()
def doctor(
    database: Annotated[str | None, ANY_DATABASE] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Say what is wrong with an installation and what to do; code 1 if something is, 78 if its settings or its database cannot be looked into. Changes nothing."""
    from dockbell.actions.doctor import examine
    from dockbell.start import refusals
    from dockbell.upkeep import installation_of

    log.set_up(level="error")
    try:
        effective = effective_settings(database)
    except ConfigError as error:
        _tell([Finding("settings", "wrong", error.message, error.hint)], as_json=as_json)
        raise typer.Exit(EX_CONFIG) from error
    here = installation_of(effective, refusals(effective))
    try:
        need_file(effective)
        store = open_database(effective.database)
        try:
            found = examine(store, here, SystemClock(store.clock_offset()))
        finally:
            store.close()
    except DockbellError as error:
        _tell([Finding("database", "wrong", error.message, error.hint), *of_settings(here)], as_json=as_json)
        raise typer.Exit(EX_CONFIG) from error
    _tell(found, as_json=as_json)
    if any(each.level == "wrong" for each in found):
        raise typer.Exit(1)


def _tell(found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [{"code": each.code, "level": each.level, "text": each.text, "advice": each.advice} for each in found]
        print(json.dumps({"findings": rows}, ensure_ascii=False, indent=2))
    for each in () if as_json else found:
        console.print(f"{each.level}  {each.text}\n       {each.advice}  [{each.code}]")
    if not found and not as_json:
        console.print("Nothing is wrong with this installation.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    database: Annotated[str | None, ANY_DATABASE] = None,
) -> None:
    """Copy a SQLite database while nodes run. The key file is not in it: keep that apart."""
    from dockbell.store.backup import back_up

    effective = effective_settings(database)
    need_file(effective)
    source = effective.database_file()
    if source is None:
        raise ConfigError(
            "This database is PostgreSQL's: back it up with its own tools.",
            hint="pg_dump --format=custom --file FILE, restored by pg_restore; or your usual archive.",
        )
    size = back_up(source, file)
    keys = effective.key_path() if effective.secret_keys is None else "the keys in secret_keys"
    console.print(f"{file} has everything that was committed: {size:,} bytes. Back up {keys} apart from it.")


@app.command("rotate-keys")
def rotate_keys(
    new_key: Annotated[
        bool, typer.Option("--new-key", help="First put a new key before the others in the file.")
    ] = False,
    database: Annotated[str | None, ANY_DATABASE] = None,
) -> None:
    """Seal every secret with the first key of the ring, while nodes run. Stopped in the middle, it goes on when run again."""
    from dockbell.store.vault import add_key, open_vault, rows_by_key

    effective = effective_settings(database)
    if new_key and effective.secret_keys is not None:
        raise ConfigError("The keys come from secret_keys, which only you can change: put the new key first there.")
    with opened(database) as store:
        vault = open_vault(effective.key_path(), store, given=effective.given_keys())
        if new_key:
            console.print(f"New key {add_key(effective.key_path())} in {effective.key_path()}: back the file up.")
            vault = open_vault(effective.key_path(), store)
        count = 0
        while done := store.submit_write(lambda tx: vault.reseal(tx, limit=SEALED_AT_ONCE)).result():
            count += done
            threading.Event().wait(PAUSE_S)  # nodes have their turn
        left = store.submit_read(rows_by_key).result()
    console.print(f"Sealed anew: {count}.")
    for key_id in [vault.newest, *sorted(set(left) - {vault.newest})]:
        console.print(
            f"Key {key_id}: {left.get(key_id, 0)} secrets{' (the one that seals)' * (key_id == vault.newest)}"
        )
    if set(left) - {vault.newest}:
        console.print("A node sealed with an old key meanwhile: run `dockbell rotate-keys` again.")
        raise typer.Exit(1)
    console.print("No secret needs another key: the others may leave the ring. Keep them with the backups they open.")


@app.command()
def erase(
    goods_owner: Annotated[
        int | None, typer.Option(min=1, max=LARGEST_ID, help="Erase the payloads of this goods owner.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Erase the payloads about this object: order/50163.")] = None,
    database: Annotated[str | None, ANY_DATABASE] = None,
) -> None:
    """Take payloads out of the store for good: data, requests, responses, and what the outbox set aside."""
    from dockbell.actions import outbox
    from dockbell.actions.retention import erase as erase_payloads
    from dockbell.domain.permissions import SYSTEM
    from dockbell.store.outbox import open_outbox

    with opened(database) as store:
        clock = SystemClock(store.clock_offset())
        while True:
            done = asyncio.run(erase_payloads(store, SYSTEM, clock, goods_owner_id=goods_owner, about=key))
            console.print(
                f"Payloads erased: {done.events} events. Cancelled, since they waited: {done.cancelled} deliveries."
            )
            if not done.more:
                break
    address = effective_settings(database).outbox.address()
    if address is not None:
        gone = outbox.erase_away(lambda: open_outbox(address), goods_owner_id=goods_owner, about=key)
        console.print(f"Taken out of the outbox, where they were set aside: {gone}.")
    if done.under_way:
        console.print(f"{done.under_way} events were being sent: run this again in a minute.")
    if done.in_log:
        console.print(
            "Another program still reads the database, so its -wal file holds what was erased: end that program, and run this again."
        )
    if done.under_way or done.in_log:
        raise typer.Exit(1)


@audit.command("verify")
def verify_audit(
    head: Annotated[str | None, typer.Option(help="A hash that was printed earlier: it must still be there.")] = None,
    database: Annotated[str | None, ANY_DATABASE] = None,
) -> None:
    """Follow the chain of the audit trail; names the first row that was changed or is missing, with code 1."""
    from dockbell.actions.audit import verify
    from dockbell.domain.permissions import SYSTEM

    with opened(database) as store:
        verdict = store.submit_read(lambda tx: verify(tx, SYSTEM, kept=head)).result()
    console.print(f"Sound rows: {verdict.rows}. Hash of the last: {verdict.head or '-'}")
    if verdict.broken is not None:
        console.print(f"Row {verdict.broken} is where the audit trail breaks: {verdict.why}.")
        raise typer.Exit(1)


@contextmanager
def opened(database: str | None) -> Iterator[Database]:
    """The database as it is, with the schema of this program; nothing else of an installation is touched."""
    from dockbell.store.migrate import verify

    log.set_up(level="error")
    effective = effective_settings(database)
    need_file(effective)
    store = open_database(effective.database)
    try:
        verify(store)
        yield store
    finally:
        store.close()


def as_it_is(database: str | None) -> Settings:
    """For a command that needs more of an installation than its database, and makes none either."""
    effective = effective_settings(database)
    need_file(effective)
    return effective.model_copy(update={"migrate_on_start": False})


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
