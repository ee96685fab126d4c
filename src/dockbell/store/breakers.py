"""Which webhooks are held back, and why, as each node sees it: written when it changes, for people to read."""

from collections.abc import Iterable, Sequence

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

HeldBack = tuple[int, int, str, Moment, str, str, Moment | None]
"""Webhook, node, state, since, reason, code, when the next attempt may be made."""


def put(tx: Transaction, held: Sequence[HeldBack], gone: Sequence[tuple[int, int]]) -> None:
    """Write what is held back over what was; `gone` are (webhook, node) that are not held back any more."""
    tx.run(
        """
        INSERT INTO breakers (webhook_id, node, state, since, reason, code, probe_at)
        SELECT r.webhook_id, r.node, r.state, r.since, r.reason, r.code, r.probe_at
          FROM :rows(webhook_id BIGINT, node BIGINT, state TEXT, since BIGINT, reason TEXT, code TEXT, probe_at BIGINT) r
         WHERE true
        ON CONFLICT (webhook_id, node) DO UPDATE SET state = excluded.state, since = excluded.since,
          reason = excluded.reason, code = excluded.code, probe_at = excluded.probe_at
        """,
        rows=held,
    )
    for webhook_id, node in gone:
        tx.run("DELETE FROM breakers WHERE webhook_id = :webhook_id AND node = :node", webhook_id=webhook_id, node=node)


def forget_node(tx: Transaction, node: int) -> None:
    """What a program that had this node's number before knew is not known any more."""
    tx.run("DELETE FROM breakers WHERE node = :node", node=node)


def of_webhooks(tx: Transaction, webhook_ids: Iterable[int]) -> list[Row]:
    """What living nodes hold back of these webhooks, that which is open first."""
    return tx.all(
        """
        SELECT b.webhook_id, b.node, b.state, b.since, b.reason, b.code, b.probe_at
          FROM :rows(webhook_id BIGINT) r JOIN breakers b ON b.webhook_id = r.webhook_id
         WHERE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.number = b.node
                              AND n.seen_at < (SELECT max(a.seen_at) FROM nodes a) - 60000000)
         ORDER BY b.webhook_id, CASE b.state WHEN 'open' THEN 0 WHEN 'ramping' THEN 1 ELSE 2 END, b.node
        """,
        rows=[(webhook_id,) for webhook_id in webhook_ids],
    )
