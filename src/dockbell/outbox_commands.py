"""`dockbell outbox`: install and look into the outbox of a warehouse system in another language."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dockbell import log, settings
from dockbell.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Install and look into the outbox of a warehouse system (outbox.dsn).")
console = Console(soft_wrap=True, markup=False, emoji=False)


@app.command("install")
def install_outbox(
    only_print: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
) -> None:
    """Make the table dockbell_outbox and the function dockbell_publish; nothing is changed where they are."""
    from dockbell.store.outbox import install, schema

    if only_print:
        print(schema(), end="")
        return
    _in_outbox(install)
    console.print("The outbox is installed: SELECT dockbell_publish(event).")


@app.command("status")
def outbox_status() -> None:
    """Show how much waits in the outbox, and what was refused and set aside with the reason."""
    from dockbell.actions.outbox import status

    told = _in_outbox(status)
    since = f", the oldest since {told['oldest']}" if told["oldest"] else ""
    console.print(f"Waiting: {told['waiting']}{since}.")
    console.print(f"Refused and set aside: {told['refused']}.")
    if told["refused"]:
        table = Table("number", "refused at", "reason", "event")
        for row in told["newest_refused"]:
            table.add_row(*(str(row[name]) for name in ("number", "refusedAt", "reason", "event")))
        console.print(table)
        console.print("Once the reason is mended: `dockbell outbox retry`.")


@app.command("retry")
def retry_outbox() -> None:
    """Let everything that was set aside wait again; a running node takes it up at once."""
    from dockbell.actions.outbox import retry

    console.print(f"Waiting again: {_in_outbox(retry)}.")


def _in_outbox(work: Any) -> Any:
    """Run one transaction in the outbox's database."""
    from dockbell.store.outbox import open_outbox

    log.set_up(level="error")
    address = settings.read_settings().outbox.address()
    if address is None:
        raise ConfigError(
            "There is no outbox: outbox.dsn is not set.", hint="Set DOCKBELL_OUTBOX__DSN_FILE or DOCKBELL_OUTBOX__DSN."
        )
    opened = open_outbox(address)
    try:
        return opened.submit_write(work).result()
    finally:
        opened.close()
