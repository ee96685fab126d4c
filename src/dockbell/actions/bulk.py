"""Resend or cancel many deliveries, or send what a webhook missed: chosen once, then done in batches, each at most once.

A run is a row that says what was chosen and how far it is; a batch is one transaction that holds that row. Whoever
does a batch leases the run for a while, so that nodes do not do each other's work; when a lease ends before the run
does, because its node was stopped, any worker takes it up. Deliveries accepted after it began are no part of it, and
what its actor may not change is left out.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import structlog

from dockbell.actions import audit, deliveries, missed
from dockbell.actions.webhook_access import managed
from dockbell.clock import SECOND, Clock, Moment, to_text
from dockbell.domain.permissions import Actor
from dockbell.errors import Conflict, InvalidInput, NotFound, Problem
from dockbell.store import delivery_log, events
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.objects import Sought

A_BATCH = 200
MOST_TICKED = 1_000
LEASE = 30 * SECOND
_NUMBER = re.compile(r"[0-9a-f]{16}")
TAKEN_UP_AT_ONCE = 4
PAUSE_S = 1.0
_DONE = {"resend": "deliveries.resent", "cancel": "deliveries.cancelled", "send-missed": "deliveries.missed_sent"}
_OF_DELIVERIES = ("resend", "cancel")
log = structlog.get_logger()


def new_number() -> str:
    """What a run can be named before it begins, so that it begins once however often it is asked for."""
    return secrets.token_hex(8)


def need_known(do: str) -> None:
    if do not in _OF_DELIVERIES:
        raise InvalidInput([Problem("do", "do", f"There is no action {do[:40]!r}. Actions: resend, cancel.")])


class _Done(NamedTuple):
    """What came of a batch."""

    changed: int
    left_out: int
    position: tuple[int, int]
    """Where the next one goes on."""
    ended: bool


def begin(
    tx: Transaction,
    actor: Actor,
    do: str,
    *,
    now: Moment,
    number: str | None = None,
    ticked: Sequence[str] | None = None,
    **filters: Any,
) -> dict[str, Any]:
    """A run over the deliveries of `ticked`, or over all that fit the filters of `deliveries.page` and can be changed.

    Tests are sent again only where they are ticked.

    Once a run of this actor has the `number`, it is the answer, and no other begins.

    Raises NotAllowed if one that is ticked, or the one webhook filtered for, is the operator's.
    """
    actor.need("manage")
    need_known(do)
    chosen, before = deliveries.search_of(actor, **filters)
    chosen |= {"own_of": deliveries.own_of(actor), "run": do}
    # Not what the clock says: after it was set back, ids go on from where they were.
    before = min(before, (events.newest_id(tx) + 1, 0))
    shown: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    if ticked is not None:
        if not 0 < len(ticked) <= MOST_TICKED:
            raise InvalidInput([Problem("ids", "count", f"Choose 1 to {MOST_TICKED:,} deliveries, not {len(ticked)}.")])
        keys = sorted({deliveries.parse_delivery_id(each) for each in ticked}, reverse=True)
        deliveries.need_visible(tx, actor, ticked)
        deliveries.need_own(tx, actor, sorted({webhook for _, webhook in keys}))
        chosen, before, shown = {"keys": keys}, (deliveries.NEWEST, 0), {"ids": list(ticked)}
        count = len(keys)
    else:
        if filters.get("webhook_id") is not None:
            deliveries.need_own(tx, actor, [filters["webhook_id"]])
        count = delivery_log.count(tx, **chosen, before=before, most=deliveries.MOST_COUNTED + 1)
    after = {"filter": shown, "count": count if count <= deliveries.MOST_COUNTED else "more than 10,000"}
    return _begin(tx, actor, do, chosen, before, after, number=number, now=now)


def begin_missed(
    tx: Transaction,
    actor: Actor,
    webhook_id: int,
    *,
    since: Moment | None,
    until: Moment | None,
    now: Moment,
    number: str | None = None,
) -> dict[str, Any]:
    """A run over what the webhook missed between two moments, as `missed` has it; `number` as for `begin`.

    Raises NotFound or NotAllowed if the webhook is not this actor's to manage.
    """
    managed(tx, actor, webhook_id)
    first, before = missed.choose(since, until)
    chosen = {
        "webhook": webhook_id,
        "before": missed.newest_known(tx, before),
        "goodsOwners": deliveries.own_of(actor),
    }
    after = {
        "webhookId": webhook_id,
        "from": None if since is None else to_text(since),
        "to": to_text(now if until is None else until),
    }
    return _begin(tx, actor, "send-missed", chosen, (first, 0), after, number=number, now=now)


def _begin(
    tx: Transaction,
    actor: Actor,
    do: str,
    chosen: dict[str, Any],
    position: tuple[int, int],
    noted: dict[str, Any],
    *,
    number: str | None,
    now: Moment,
) -> dict[str, Any]:
    """The run with this number: made, or found if its actor began it before."""
    number = new_number() if number is None else number
    if _NUMBER.fullmatch(number) is None:
        raise InvalidInput([Problem("run", "run", "Begin from the page that says how many deliveries it would be.")])
    is_new = tx.run(
        """
        INSERT INTO bulk_runs (id, action, actor, actor_label, actor_address, goods_owners, chosen, position_event,
                               position_webhook, lease_until, started_at)
        VALUES (:id, :action, :actor, :actor_label, :actor_address, :goods_owners, :chosen, :event, :webhook, :until, :now)
        ON CONFLICT (id) DO NOTHING
        """,
        id=number,
        action=do,
        actor=actor.id,
        actor_label=actor.label,
        actor_address=actor.address,
        goods_owners=json.dumps(deliveries.own_of(actor)),
        chosen=json.dumps(chosen, default=msgspec.to_builtins),
        event=position[0],
        webhook=position[1],
        until=now + LEASE,
        now=now,
    )
    row = _find(tx, number)
    assert row is not None
    if is_new:
        audit.note(tx, actor, _DONE[do], f"bulk-run/{number}", now=now, goods_owners=actor.goods_owners, after=noted)
    elif (row["actor"], row["action"]) != (actor.id, do):
        raise Conflict("This form was used for something else already.", hint="Choose the deliveries again.")
    return _view(row)


def get(tx: Transaction, actor: Actor, number: str) -> dict[str, Any]:
    """How far a run is; its own actor and administrators for all goods owners may know."""
    row = _find(tx, number) if _NUMBER.fullmatch(number) else None
    if row is None or row["actor"] != actor.id:
        actor.need("read")
        if row is None or not (actor.may("admin") and actor.goods_owners is None):
            raise NotFound(f"There is no bulk run {number[:40]!r}.")
    return _view(row)


def _view(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "action": row["action"],
        "by": row["actor_label"],
        "state": "running" if row["ended_at"] is None else "done",
        "changed": row["changed"],
        "leftOut": row["left_out"],
        "startedAt": to_text(row["started_at"]),
        "endedAt": None if row["ended_at"] is None else to_text(row["ended_at"]),
    }


def next_batch(tx: Transaction, number: str, *, now: Moment, holder: str = "", batch: int = A_BATCH) -> bool:
    """Do a batch and lease the run to `holder`; False when nothing is left to do, or another holder does it."""
    run = _find(tx, number, lock="/*pg FOR UPDATE */")
    if run is None or run["ended_at"] is not None:
        return False
    if run["lease_holder"] not in ("", holder) and run["lease_until"] > now:
        return False
    done = _send_missed(tx, run, now) if run["action"] == "send-missed" else _change(tx, run, now, batch)
    tx.run(
        """
        UPDATE bulk_runs SET position_event = :event, position_webhook = :webhook, changed = changed + :changed,
               left_out = left_out + :left_out, lease_holder = :holder, lease_until = :until, ended_at = :ended_at
         WHERE id = :id
        """,
        id=number,
        event=done.position[0],
        webhook=done.position[1],
        changed=done.changed,
        left_out=done.left_out,
        holder=holder,
        until=now + LEASE,
        ended_at=now if done.ended else None,
    )
    if done.ended:
        _note_end(tx, run, changed=run["changed"] + done.changed, left_out=run["left_out"] + done.left_out, now=now)
    return not done.ended


def _change(tx: Transaction, run: Row, now: Moment, batch: int) -> _Done:
    """Resend or cancel the next of the deliveries, the newest first."""
    position = (run["position_event"], run["position_webhook"])
    chosen = json.loads(run["chosen"])
    if "keys" in chosen:
        keys = [(event, webhook) for event, webhook in chosen["keys"] if (event, webhook) < position][:batch]
    else:
        if chosen["about"] is not None:
            chosen["about"] = Sought(**chosen["about"])
        found = delivery_log.page(tx, **chosen, before=position, limit=batch)
        keys = [(row["event_id"], row["webhook_id"]) for row in found]
    many = delivery_log.resend_many if run["action"] == "resend" else delivery_log.cancel_many
    changed = many(tx, keys, now=now) if keys else 0
    return _Done(changed, len(keys) - changed, keys[-1] if keys else position, len(keys) < batch)


def _send_missed(tx: Transaction, run: Row, now: Moment) -> _Done:
    sent, left_out, last = missed.send_some(tx, json.loads(run["chosen"]), run["position_event"], now=now)
    return _Done(sent, left_out, (run["position_event"] if last is None else last, 0), last is None)


def _note_end(tx: Transaction, run: Row, *, changed: int, left_out: int, now: Moment) -> None:
    owners = None if run["goods_owners"] is None else json.loads(run["goods_owners"])
    actor = Actor(
        run["actor"], run["actor_label"], frozenset(), None if owners is None else frozenset(owners),
        address=run["actor_address"],
    )  # fmt: skip
    audit.note(
        tx, actor, f"{_DONE[run['action']]}.ended", f"bulk-run/{run['id']}", now=now, goods_owners=owners,
        after={"changed": changed, "leftOut": left_out},
    )  # fmt: skip


def abandoned(tx: Transaction, *, now: Moment) -> list[str]:
    """Runs that have not ended and that nobody touched for the time of a lease."""
    rows = tx.all(
        "SELECT r.id FROM bulk_runs r WHERE r.ended_at IS NULL AND r.lease_until <= :now ORDER BY r.lease_until LIMIT :most",
        now=now,
        most=TAKEN_UP_AT_ONCE,
    )
    return [row["id"] for row in rows]


async def take_up(database: Database, clock: Clock) -> None:
    """Go on, in the background, with what other nodes, or this one before its restart, have left."""
    now = clock.now()
    for number in await database.read(lambda tx: abandoned(tx, now=now)):
        go_on(database, clock, number)


_running: dict[tuple[Database, str], asyncio.Task[None]] = {}
_turns: WeakKeyDictionary[Database, asyncio.Lock] = WeakKeyDictionary()
"""A run has its turn for one batch: publishers wait behind what is written, and anybody may begin as many runs as they like."""


def go_on(database: Database, clock: Clock, number: str) -> None:
    """Let a run go on in the background of this process, unless it does already."""
    key = (database, number)
    if key not in _running:
        _running[key] = asyncio.create_task(_work(database, clock, number))
        _running[key].add_done_callback(lambda _: _running.pop(key, None))


async def _work(database: Database, clock: Clock, number: str) -> None:
    holder = secrets.token_hex(8)
    turn = _turns.setdefault(database, asyncio.Lock())
    try:
        going_on = True
        while going_on:
            while await database.read(lambda tx: _pauses(tx, number)):
                await clock.sleep(PAUSE_S)
            async with turn:
                going_on = await database.write(lambda tx: next_batch(tx, number, now=clock.now(), holder=holder))
    except Exception as error:  # noqa: BLE001 - nobody waits for this task
        log.warning("bulk.stopped", run=number, error=str(error), hint="A worker goes on with it in half a minute.")


def _pauses(tx: Transaction, number: str) -> bool:
    """Whether the run has to wait until some of what it made was sent. Its lease may end meanwhile: any node goes on."""
    run = _find(tx, number)
    return run is not None and run["action"] == "send-missed" and missed.is_enough(tx, json.loads(run["chosen"]))


def _find(tx: Transaction, number: str, lock: str = "") -> Row | None:
    return tx.one(f"SELECT r.* FROM bulk_runs r WHERE r.id = :id {lock}", id=number)  # noqa: S608 - a constant
