"""The command line: serve, demo, publish, keys, and what an operator needs around them."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from dockbell import __version__, log, operate, outbox_commands, settings
from dockbell.clock import SystemClock
from dockbell.database_address import shown
from dockbell.domain.event_json import LARGEST_ID
from dockbell.errors import ConfigError, Conflict, DockbellError, InvalidInput, Problem


class _Commands(TyperGroup):
    """What no command can keep or print, it is not handed: bytes that are no text come as halves of surrogate pairs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for each in args:
            if any("\ud800" <= character <= "\udfff" for character in each):
                raise typer.BadParameter(f"{each[:80]!a} is not UTF-8.")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(keys, name="keys")
warehouse = typer.Typer(no_args_is_help=True, help="The reference warehouse.")
app.add_typer(warehouse, name="warehouse")
users = typer.Typer(no_args_is_help=True, help="Links for people who sign in.")
app.add_typer(users, name="users")
app.add_typer(outbox_commands.app, name="outbox")
app.add_typer(operate.app)
# What people typed is shown as it is: neither [brackets] nor :names: of emoji mean anything.
console = Console(soft_wrap=True, markup=False, emoji=False)
errors = Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False)


def main() -> None:
    """Run a command; a wrong installation ends with code 78 and a sentence, never with a traceback."""
    try:
        app()
    except ConfigError as error:
        _complain(error)
        sys.exit(operate.EX_CONFIG)
    except DockbellError as error:
        _complain(error)
        sys.exit(1)


@app.command()
def serve(
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run a node: the API, and the worker that delivers."""
    from dockbell import app as wiring

    log.set_up()
    given: dict[str, Any] = {} if database is None else {"database": database}
    server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if server:
        given["server"] = server
    wiring.serve(settings.read_settings(**given))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Do the four steps, show them, and end.")] = False,
    answer: Annotated[
        int,
        typer.Option(min=200, max=599, help="What the demo's receiver answers: 200, or 500 to see a retry planned."),
    ] = 200,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65_534, help="Port of Dockbell; the receiver listens on the next one. 0: any free ones."
        ),
    ] = 8420,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep the demo's data; a temporary folder unless said.")
    ] = None,
) -> None:
    """Start Dockbell with a small warehouse and a receiver, pick an order, and watch the webhook arrive."""
    from dockbell.demo import run_demo

    log.set_up(level="error")  # what the demo allows itself it says in its own words
    raise typer.Exit(run_demo(once=once, answer=answer, port=port, folder=folder))


@app.command()
def publish(
    event_type: Annotated[str, typer.Option("--type", help="Event type, such as order.picked.")],
    goods_owner: Annotated[int, typer.Option(help="Id of the goods owner.")],
    data: Annotated[str, typer.Option(help="Payload fields as JSON; @file reads a file, - reads standard input.")],
    event_id: Annotated[str | None, typer.Option("--id", help="Your own id: publishing it again adds nothing.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="name=value, for filters: transporter=DHL.")] = None,
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Publish one event straight into the database; a running node delivers it within a second."""
    from dockbell.domain.permissions import SYSTEM
    from dockbell.embed import Store

    log.set_up(level="error")
    event = _event_bytes(event_type, goods_owner, _text_of(data), event_id, attribute or [])
    store = Store(operate.as_it_is(database))
    try:
        accepted = store.database.submit_write(
            lambda tx: store.publisher.publish(tx, SYSTEM, event, now=store.clock.now())
        ).result()
    finally:
        store.close()
    known = " (it was known already)" if accepted.repeated else ""
    console.print(f"Event {accepted.event_id} accepted{known}; deliveries: {accepted.deliveries}.")


@app.command()
def migrate(
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Bring the database to this program's schema."""
    from dockbell.store.database import open_database
    from dockbell.store.migrate import migrate as bring_up
    from dockbell.store.migrate import verify

    log.set_up(level="warning")
    opened = open_database(operate.effective_settings(database).database)
    try:
        applied = bring_up(opened, now=SystemClock().now())
        verify(opened)
    finally:
        opened.close()
    console.print(f"Applied: {', '.join(applied)}." if applied else "The schema is up to date.")


@app.command()
def check() -> None:
    """Show every effective setting, and whether the catalog and the database are sound."""
    from dockbell.domain.catalog import load_catalog
    from dockbell.store.database import open_database
    from dockbell.store.migrate import verify

    log.set_up(level="warning")
    effective = settings.read_settings()
    table = Table("setting", "value", "variable")
    for name, (default, _) in settings.names().items():
        value: Any = effective
        for part in name.split("."):
            value = getattr(value, part)
        table.add_row(
            name, _shown(name, value) + ("" if value != default else "  (default)"), settings.variable_of(name)
        )
    console.print(table)
    console.print(f"Catalog: {len(load_catalog())} event types.")
    operate.need_file(effective)
    database = open_database(effective.database)
    try:
        verify(database)
    finally:
        database.close()
    console.print("Database: reachable, schema up to date.")


@app.command()
def inspect(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8421,
    answer: Annotated[int, typer.Option(min=200, max=599, help="Status to answer with.")] = 200,
) -> None:
    """Run a receiver that prints what arrives: a target while developing."""
    from dockbell.testing.inspector import Inspector
    from dockbell.web.listen import a_server

    console.print(f"Listening on http://127.0.0.1:{port}/ and answering {answer}. GET / lists what came.")
    receiver = Inspector(answer=answer, on_request=lambda came: console.print(came.text() + "\n", highlight=False))
    asyncio.run(a_server(receiver, "127.0.0.1", port).serve())


def _tell_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version and end.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Dockbell: the webhook system of a warehouse management system."""


@app.command()
def version() -> None:
    """Print the version."""
    console.print(f"Dockbell {__version__}")


@keys.command("create")
def create_key(
    label: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help="publish, read, manage or admin; repeat for several.")],
    goods_owner: Annotated[
        list[int] | None,
        typer.Option(min=1, max=LARGEST_ID, help="Limit the key to this goods owner; repeat for several."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 2027-01-31T00:00:00Z.")] = None,
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Make an API key; it is printed this once."""
    from dockbell.actions import access
    from dockbell.domain.limits import parse_moment
    from dockbell.domain.permissions import SYSTEM

    until = None if expires is None else parse_moment(expires, "expires")
    made = _in_store(
        database,
        lambda tx, now: access.create_key(
            tx, SYSTEM, label=label, scopes=scope, goods_owners=goods_owner, expires_at=until, now=now
        ),
    )
    console.print(made.key, highlight=False)


@keys.command("list")
def list_keys(
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """List the API keys, without their secrets."""
    from dockbell.actions import access
    from dockbell.domain.permissions import SYSTEM

    table = Table("id", "label", "scopes", "goods owners", "expires", "revoked")
    for key in _in_store(database, lambda tx, _: access.list_keys(tx, SYSTEM)):
        owners = "all" if key["goodsOwnerIds"] is None else ", ".join(map(str, key["goodsOwnerIds"]))
        table.add_row(
            key["id"], key["label"], ", ".join(key["scopes"]), owners, key["expiresAt"] or "-", key["revokedAt"] or "-"
        )
    console.print(table)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The eight characters after whk_.")],
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """End an API key at once."""
    from dockbell.actions import access
    from dockbell.domain.permissions import SYSTEM

    _in_store(database, lambda tx, now: access.revoke_key(tx, SYSTEM, key_id, now=now))
    console.print(f"Key {key_id} is revoked.")


@users.command("first-link")
def first_link(
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Make a link for the first administrator; it works once, for 30 minutes. Without server.base_url put your address before it."""
    from dockbell.actions import sign_in

    told = _in_store(database, lambda tx, now: sign_in.first_link(tx, now=now))
    if told is None:
        raise Conflict(
            "There is an administrator already.", hint="`dockbell users link <e-mail>` makes a password link."
        )
    print(_at_our_address(f"/first/{told}"))


@users.command("link")
def user_link(
    email: Annotated[str, typer.Argument(help="The user's e-mail address.")],
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Make a link with which a user chooses a new password; it works once. Without server.base_url put your address before it."""
    from dockbell.actions import users as actions
    from dockbell.domain.permissions import SYSTEM

    told = _in_store(database, lambda tx, now: actions.link_by_email(tx, SYSTEM, email, now=now))
    print(_at_our_address(f"/invitation/{told}"))


def _at_our_address(path: str) -> str:
    """Which port or proxy leads here, only the operator knows."""
    return f"{settings.read_settings().server.base_url or ''}{path}"


@warehouse.command()
def simulate(
    orders_per_minute: Annotated[
        float, typer.Option(min=0, help="How many orders come in each minute; 0: as fast as they are worked off.")
    ] = 60,
    orders: Annotated[int, typer.Option(min=1, help="How many orders come in before the day ends.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed does the same on the same data.")] = 1,
    database: Annotated[str | None, typer.Option(help="A SQLite file or a postgresql:// address.")] = None,
) -> None:
    """Let a day happen in the warehouse: every event type, as in real life. A running server delivers meanwhile."""
    from dockbell.simulate import run_simulation

    log.set_up(level="error")
    effective = operate.effective_settings(database)
    if not run_simulation(effective, orders=orders, orders_per_minute=orders_per_minute, seed=seed):
        raise typer.Exit(1)


def _in_store(database: str | None, work: Any) -> Any:
    """Run one transaction of an operator's command in the database that is there."""
    with operate.opened(database) as store:
        clock = SystemClock(store.clock_offset())
        return store.submit_write(lambda tx: work(tx, clock.now())).result()


def _event_bytes(event_type: str, goods_owner: int, data: str, event_id: str | None, attributes: list[str]) -> bytes:
    """The event's document with the data spliced in as it was written."""
    document: dict[str, Any] = {"type": event_type, "goodsOwnerId": goods_owner}
    if event_id is not None:
        document["id"] = event_id
    if attributes:
        document["attributes"] = dict(entry.partition("=")[::2] for entry in attributes)
    return f'{json.dumps(document)[:-1]}, "data": {data}}}'.encode()


def _text_of(data: str) -> str:
    """The data itself, or what the file or standard input has that it names."""
    if data != "-" and not data.startswith("@"):
        return data
    try:
        # As bytes: what the text of standard input is in, the locale decides.
        return (sys.stdin.buffer.read() if data == "-" else Path(data[1:]).read_bytes()).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Problem("data", "data_file", f"It cannot be read as text in UTF-8: {error}.")]) from error


def _shown(name: str, value: Any) -> str:
    return shown(value) if name == "database" else str(value)


def _complain(error: DockbellError) -> None:
    if isinstance(error, InvalidInput):
        for problem in error.problems:
            errors.print(f"{problem.field or 'input'}: {problem.message}  [{problem.code}]")
    else:
        errors.print(error.message)
    if error.hint:
        errors.print(error.hint)
