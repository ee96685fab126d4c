"""What a node keeps in memory: the catalog, the goods owners, and every webhook ready for matching and sending.

A state is immutable and swapped whole, so that any thread may read it without a lock. Counters in the
database say how new a state is; a transaction that needs to be exact compares them and refreshes first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.catalog import Catalog
from dockbell.domain.event_type import event_type_from
from dockbell.domain.webhook import Webhook, compile_webhook
from dockbell.store import counters, people, webhooks
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.vault import Vault


@dataclass(frozen=True, slots=True)
class State:
    catalog: Catalog
    catalog_no: int
    goods_owners: Mapping[int, str]
    webhooks_no: int
    webhooks: Mapping[int, Webhook]
    """By id, disabled and deleted ones too: what they still have to do is explained by them."""
    of_goods_owner: Mapping[tuple[str, int], tuple[Webhook, ...]]
    of_everyone: Mapping[str, tuple[Webhook, ...]]

    def webhooks_for(self, event_type: str, goods_owner_id: int) -> tuple[Webhook, ...]:
        """The enabled webhooks that such an event could be meant for, before filters."""
        return self.of_goods_owner.get((event_type, goods_owner_id), ()) + self.of_everyone.get(event_type, ())


class Index:
    def __init__(self, catalog: Catalog, vault: Vault, addresses: AddressPolicy) -> None:
        self._built_in = catalog
        self._vault = vault
        self._addresses = addresses
        self.state = State(catalog, -1, {}, 0, {}, {}, {})

    async def refresh(self, database: Database) -> None:
        self.adopt(await database.read(self.fresh))

    def adopt(self, fresh: State) -> None:
        """Keep a state that was read outside of any write."""
        # Two refreshes may cross: what was read first must not replace what was read last.
        if fresh.webhooks_no >= self.state.webhooks_no and fresh.catalog_no >= self.state.catalog_no:
            self.state = fresh

    def fresh_catalog(self, tx: Transaction) -> State:
        """The catalog and the goods owners as this transaction sees them, the webhooks as they are in memory.

        That is what a webhook is judged by. A transaction that saves many need not unseal those it saved before.
        """
        catalog_no = counters.current(tx, counters.CATALOG_CHANGED)
        return self.state if catalog_no == self.state.catalog_no else self._with_catalog(tx, self.state, catalog_no)

    def fresh(self, tx: Transaction) -> State:
        """The state as this transaction sees it; the one in memory if nothing changed."""
        state = self.fresh_catalog(tx)
        webhooks_no = counters.current(tx, counters.WEBHOOKS_CHANGED)
        if webhooks_no != state.webhooks_no:
            changed = list(self._changed_since(tx, state.webhooks_no))
            state = _with_webhooks(state, changed, webhooks_no)
        return state

    def _changed_since(self, tx: Transaction, changed_no: int) -> Iterator[Webhook]:
        """In portions: the rows of a hundred thousand webhooks would be larger than what is kept of them."""
        while rows := webhooks.changed_since(tx, changed_no):
            yield from map(self.compiled, rows)
            changed_no = int(rows[-1]["changed_no"])

    def compiled(self, row: Row) -> Webhook:
        return compile_webhook(
            webhook_id=row["id"],
            version=row["version"],
            enabled=bool(row["enabled"]),
            deleted=row["deleted_at"] is not None,
            settings=json.loads(row["settings"]),
            secrets=json.loads(self._vault.open(row["secrets"], place=f"webhooks/{row['id']}/secrets")),
            addresses=self._addresses,
            fingerprint=self._vault.fingerprint,
        )

    def _with_catalog(self, tx: Transaction, state: State, catalog_no: int) -> State:
        own = [event_type_from(json.loads(row["document"])) for row in people.custom_event_types(tx)]
        names = {int(row["id"]): str(row["name"]) for row in people.goods_owners(tx)}
        return replace(state, catalog=self._built_in.with_types(own), catalog_no=catalog_no, goods_owners=names)


def _with_webhooks(state: State, changed: Iterable[Webhook], webhooks_no: int) -> State:
    by_id = dict(state.webhooks)
    of_goods_owner = dict(state.of_goods_owner)
    of_everyone = dict(state.of_everyone)
    for webhook in changed:
        before = by_id.get(webhook.id)
        if before is not None and before.enabled:
            if before.goods_owners is None:
                of_everyone[before.event_type] = _without(of_everyone[before.event_type], webhook.id)
            for owner in before.goods_owners or ():
                key = (before.event_type, owner)
                of_goods_owner[key] = _without(of_goods_owner[key], webhook.id)
        if webhook.enabled:
            if webhook.goods_owners is None:
                of_everyone[webhook.event_type] = (*of_everyone.get(webhook.event_type, ()), webhook)
            for owner in webhook.goods_owners or ():
                key = (webhook.event_type, owner)
                of_goods_owner[key] = (*of_goods_owner.get(key, ()), webhook)
        by_id[webhook.id] = webhook
    return replace(
        state, webhooks_no=webhooks_no, webhooks=by_id, of_goods_owner=of_goods_owner, of_everyone=of_everyone
    )


def _without(webhooks_of_key: tuple[Webhook, ...], webhook_id: int) -> tuple[Webhook, ...]:
    return tuple(webhook for webhook in webhooks_of_key if webhook.id != webhook_id)
