"""One of everything that a page's path may name, for the walks over all pages."""

import secrets
from typing import Any

from dockbell.store import users
from tests.support.parts import Server
from tests.support.rows import FJORD, TEA
from tests.support.warehouse_things import warehouse_things


class Things:
    """Makes one of everything that a path may name, for a goods owner."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._made: dict[tuple[int, str], dict[str, Any]] = {}

    async def of(self, owner: int, kind: str = "regular", *, fresh: bool) -> dict[str, Any]:
        if fresh or (owner, kind) not in self._made:
            self._made[owner, kind] = await self._make(owner, kind)
        return self._made[owner, kind]

    async def _make(self, owner: int, kind: str) -> dict[str, Any]:
        server = self.server
        webhook = await server.make_webhook(
            name="A", kind=kind.partition(" ")[0], eventType="test.anything",
            goodsOwnerIds=[TEA, FJORD] if kind == "automation of both" else [owner],
        )  # fmt: skip
        event = (await server.publish(goodsOwnerId=owner))["eventId"]
        [delivery] = (await server.admin.get(f"/api/v1/deliveries?webhookId={webhook['id']}")).document["items"]
        key = server.make_key(["read"], None).split("_")[1]
        now = server.parts.clock.now()
        email = f"thing{webhook['id']}@example.com"
        user = server.parts.database.submit_write(
            lambda tx: users.insert(
                tx, email=email, name="U", role="warehouse", goods_owners=None, password_hash=None, now=now
            )
        ).result()
        order = server.parts.database.submit_write(
            lambda tx: tx.one("SELECT min(id) AS id FROM wms_orders WHERE goods_owner_id = :owner", owner=owner)
        ).result()
        assert order is not None
        of_the_warehouse = server.parts.database.submit_write(
            lambda tx: warehouse_things(tx, server.parts.publisher, owner, now)
        ).result()
        return {
            **of_the_warehouse,
            "link": "x" * 43, "first_link": "x" * 43, "session": "0" * 64,
            "bulk_run": a_bulk_run(server, "user-0"), "webhook": webhook["id"],
            "event": event, "delivery": delivery["id"], "key": key, "user": user,
            "order": int(order["id"]), "goods_owner": owner, "event_type": "test.anything",
        }  # fmt: skip


def a_bulk_run(server: Server, actor: str) -> str:
    """Many deliveries resent at once by this actor; it has ended."""
    number = secrets.token_hex(8)
    server.parts.database.submit_write(
        lambda tx: tx.run(
            """
            INSERT INTO bulk_runs
                   (id, action, actor, actor_label, chosen, position_event, position_webhook, started_at, ended_at)
            VALUES (:id, 'resend', :actor, 'Somebody', '{"keys": []}', 1, 1, 1, 1)
            """,
            id=number,
            actor=actor,
        )
    ).result()
    return number
