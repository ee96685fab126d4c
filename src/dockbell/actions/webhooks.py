"""Making and changing webhooks. Each function is one transaction; secrets go in and never come out."""

import json
import secrets as random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockbell.actions import audit, held_back
from dockbell.actions.index import Index, State
from dockbell.actions.webhook_access import managed, visible
from dockbell.actions.webhook_credentials import is_moved, needs_credentials, uses, without_credentials, without_dropped
from dockbell.actions.webhook_input import checked_settings, settings_from
from dockbell.clock import HOUR, Moment, to_text
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.credentials import new_signing_secret
from dockbell.domain.permissions import Actor
from dockbell.domain.target_url import parse_target_url, warnings_for
from dockbell.errors import Conflict, InvalidInput, Problem, Problems
from dockbell.store import backlog, counters, delivery_log, failing, webhooks
from dockbell.store.database import Row, Transaction
from dockbell.store.vault import Vault

OVERLAP = 24 * HOUR
MOST_OVERLAP_H = 7 * 24
MOST_OLD_SECRETS = 2
MOST_OF_AN_OWNER = 100
CLEARED = "The URL's host changed, so the credentials were cleared. Enter them again, then enable the webhook."


@dataclass(frozen=True, slots=True)
class Saved:
    """A webhook as it may be shown, and the signing secret if it was just made: the only time it is told."""

    webhook: dict[str, Any]
    signing_secret: str | None = None


class Webhooks:
    """The verbs of Administration => Webhooks."""

    def __init__(
        self, index: Index, vault: Vault, addresses: AddressPolicy, *, most_of_an_owner: int = MOST_OF_AN_OWNER
    ) -> None:
        self._index = index
        self._vault = vault
        self._addresses = addresses
        self._most_of_an_owner = most_of_an_owner

    def create(
        self,
        tx: Transaction,
        actor: Actor,
        document: Mapping[str, Any],
        *,
        now: Moment,
        noted: str = "webhook.created",
        disabled_reason: str | None = None,
    ) -> Saved:
        settings, secrets = self._checked(actor, document, self._pinned_catalog(tx), stored={})
        self._need_room(tx, settings)
        webhook_id = webhooks.next_id(tx)
        self._save(
            tx, actor, webhook_id, 1, settings, secrets,
            created_at=now, disabled_reason=disabled_reason, now=now, noted=noted,
        )  # fmt: skip
        return Saved(self.view(_must_find(tx, webhook_id)), secrets["signing"][0]["secret"])

    def judge(self, tx: Transaction, actor: Actor, document: Mapping[str, Any]) -> None:
        """Raises what `create` would raise, and makes nothing."""
        self._checked(actor, document, self._index.fresh_catalog(tx), stored={})

    def change(
        self,
        tx: Transaction,
        actor: Actor,
        webhook_id: int,
        patch: Mapping[str, Any],
        *,
        now: Moment,
        expected_version: int | None = None,
    ) -> Saved:
        """Merge `patch` into the webhook (RFC 7396 at the top level and in `filters`).

        Raises Conflict if it is not of the `expected_version` any more: somebody was quicker.

        When the URL's scheme, host or port changes, credentials that are not entered again are cleared and
        the webhook is disabled: whoever can move a webhook must not harvest its secrets.
        """
        row = managed(tx, actor, webhook_id, for_update=True)
        if expected_version not in (None, row["version"]):
            raise Conflict(
                "Somebody changed this webhook meanwhile. Look at it again; saving now replaces their change."
            )
        state = self._pinned_catalog(tx)
        stored = self._secrets_of(row)
        before = settings_from(row["settings"])
        document = {**before, **patch}
        if isinstance(patch.get("filters"), Mapping):
            document["filters"] = {**before["filters"], **patch["filters"]}
        moved = is_moved(before, document, self._addresses)
        kept = without_credentials(stored) if moved else stored
        cleared = moved and needs_credentials(document, kept)
        if cleared:
            document = without_dropped(document, kept)
        settings, secrets = self._checked(actor, document, state, stored=kept)
        if settings["goodsOwnerIds"] != before["goodsOwnerIds"] or settings["kind"] != before["kind"]:
            self._need_room(tx, settings)
        reason = row["disabled_reason"]
        if cleared:
            settings["enabled"] = False
            reason = CLEARED
        elif settings["enabled"]:
            reason = None
        self._save(
            tx, actor, webhook_id, row["version"] + 1, settings, secrets,
            created_at=row["created_at"], disabled_reason=reason, now=now, noted=_kind_of_change(before, settings),
            before=row,
        )  # fmt: skip
        if settings["goodsOwnerIds"] != before["goodsOwnerIds"]:
            _end_for_removed(tx, actor, webhook_id, now=now)
        if settings["enabled"] and not row["enabled"]:
            failing.forget_failing(tx, webhook_id)
        if settings["enabled"] != bool(row["enabled"]):
            backlog.follow(tx, webhook_id, now=now)
        return Saved(self.view(_must_find(tx, webhook_id)))

    def delete(self, tx: Transaction, actor: Actor, webhook_id: int, *, now: Moment) -> int:
        """Delete the webhook and cancel what waits for it; how many deliveries that were."""
        row = managed(tx, actor, webhook_id, for_update=True)
        settings = {**settings_from(row["settings"]), "enabled": False}
        self._save(
            tx, actor, webhook_id, row["version"] + 1, settings, {"signing": []},
            created_at=row["created_at"], disabled_reason="It was deleted.", now=now, deleted_at=now,
            noted="webhook.deleted", before=row,
        )  # fmt: skip
        waiting = backlog.of_webhook(tx, webhook_id)
        backlog.follow(tx, webhook_id, now=now)
        return waiting

    def rotate_secret(
        self, tx: Transaction, actor: Actor, webhook_id: int, *, overlap_h: float | None, own: str | None, now: Moment
    ) -> Saved:
        """A new signing secret; the old one signs along for `overlap_h` hours (24 unless said)."""
        row = managed(tx, actor, webhook_id, for_update=True)
        problems = Problems()
        if overlap_h is not None and not 0 <= overlap_h <= MOST_OVERLAP_H:
            text = f"The overlap must be from 0 to {MOST_OVERLAP_H} hours."
            problems.append(Problem("overlapInHours", "range", text))
        settings = settings_from(row["settings"])
        secrets = self._secrets_of(row)
        fresh = new_signing_secret(random.token_bytes(32)) if own is None else own
        with problems.gather():
            checked_settings(
                {**settings, "signingSecret": fresh},
                state=self._pinned_catalog(tx), addresses=self._addresses, stored_secrets=secrets,
            )  # fmt: skip
        problems.refuse()
        until = now + (OVERLAP if overlap_h is None else int(overlap_h * HOUR))
        old = [
            {**entry, "until": min(until, entry.get("until") or until)}
            for entry in secrets["signing"]
            if (entry.get("until") or until) > now and until > now
        ]
        if len(old) > MOST_OLD_SECRETS:  # a receiver may know none but the oldest, which was promised to sign along
            end = to_text(old[-1]["until"])
            text = f"{len(old) - 1} old secrets sign along, one until {end}. Wait for it, or end all of them by an overlap of 0."
            raise InvalidInput([Problem("overlapInHours", "old_secrets", text)])
        secrets["signing"] = [{"secret": fresh}, *old]
        self._save(
            tx, actor, webhook_id, row["version"] + 1, settings, secrets,
            created_at=row["created_at"], disabled_reason=row["disabled_reason"], now=now,
            noted="webhook.secret-rotated", before=row,
        )  # fmt: skip
        return Saved(self.view(_must_find(tx, webhook_id)), fresh)

    def switch(self, tx: Transaction, actor: Actor, webhook_id: int, *, enabled: bool, now: Moment) -> bool:
        """Enable or disable; False if it was so already. Disabling always works, whatever else is wrong with it."""
        row = managed(tx, actor, webhook_id, for_update=True)
        if bool(row["enabled"]) == enabled:
            return False
        if enabled:
            self.change(tx, actor, webhook_id, {"enabled": True}, now=now)
        else:
            self.deactivate(tx, actor, webhook_id, None, now=now)
        return True

    def deactivate(
        self,
        tx: Transaction,
        actor: Actor,
        webhook_id: int,
        reason: str | None,
        *,
        now: Moment,
        version: int | None = None,
    ) -> None:
        """Switch a webhook off, for a reason that is not a person's wish if one is given; what waits is held.

        With `version` only if it is still that one: whoever changed it since may have mended what was wrong.
        """
        row = webhooks.find(tx, webhook_id, for_update=True)
        if row is None or not row["enabled"] or version not in {None, row["version"]}:
            return
        settings = {**settings_from(row["settings"]), "enabled": False}
        self._save(
            tx, actor, webhook_id, row["version"] + 1, settings, self._secrets_of(row),
            created_at=row["created_at"], disabled_reason=reason, now=now, noted="webhook.disabled", before=row,
        )  # fmt: skip
        backlog.follow(tx, webhook_id, now=now)

    def get(self, tx: Transaction, actor: Actor, webhook_id: int) -> dict[str, Any]:
        actor.need("read")
        shown = self.view(visible(tx, actor, webhook_id))
        return {**shown, "heldBack": held_back.of_webhook(tx, webhook_id)}

    def get_to_manage(self, tx: Transaction, actor: Actor, webhook_id: int) -> dict[str, Any]:
        """For who may manage it too: an automation webhook is shown to whom it serves, and is the operator's."""
        managed(tx, actor, webhook_id)
        return self.get(tx, actor, webhook_id)

    def page(
        self, tx: Transaction, actor: Actor, *, after: int = 0, limit: int = 50, **filters: Any
    ) -> list[dict[str, Any]]:
        actor.need("read")
        rows = webhooks.page(tx, goods_owners=actor.goods_owners, after=after, limit=limit, **filters)
        counts = delivery_log.counts(tx, [row["id"] for row in rows])
        return [{**self.view(row), "notDelivered": counts.get(row["id"], {})} for row in rows]

    def view(self, row: Row) -> dict[str, Any]:
        """The webhook as it may be shown: secrets as a fingerprint, warnings in words."""
        settings = settings_from(row["settings"])
        secrets = self._secrets_of(row)
        authentication = dict(settings["authentication"])
        for name in ("password", "token"):
            if name in secrets and uses(authentication, name):
                authentication[name] = self._set(secrets[name])
        headers = [
            {**header, "value": self._set(secrets["headers"][header["name"]])} if header["secret"] else header
            for header in settings["headers"]
        ]
        return {
            "id": row["id"],
            "version": row["version"],
            **settings,
            "authentication": authentication,
            "headers": headers,
            "enabled": bool(row["enabled"]),
            "disabledReason": row["disabled_reason"],
            "signingSecrets": [
                {"fingerprint": self._vault.fingerprint(entry["secret"]), "until": _time(entry.get("until"))}
                for entry in secrets.get("signing", [])
            ],
            "warnings": self.warnings_of(settings),
            "createdAt": to_text(row["created_at"]),
            "changedAt": to_text(row["changed_at"]),
            "deletedAt": _time(row["deleted_at"]),
        }

    def warnings_of(self, settings: Mapping[str, Any]) -> list[str]:
        owners = settings["goodsOwnerIds"]
        has_credentials = settings["authentication"]["type"] != "none" or any(h["secret"] for h in settings["headers"])
        try:
            url = parse_target_url(
                settings["targetUrl"], self._addresses, None if owners is None else frozenset(owners)
            )
        except InvalidInput as refused:
            return [f"Nothing can be sent: {refused.message}"]
        return warnings_for(url, has_credentials)

    def _pinned_catalog(self, tx: Transaction) -> State:
        """As the webhook is judged by it, and as it stays until the webhook is saved: no type is deleted under it."""
        counters.pinned(tx, counters.CATALOG_CHANGED)
        return self._index.fresh_catalog(tx)

    def _need_room(self, tx: Transaction, settings: Mapping[str, Any]) -> None:
        """One goods owner's webhooks are matched with each of its events: a thousand of them would slow down everyone."""
        if settings["kind"] != "regular":
            return
        [owner] = settings["goodsOwnerIds"]
        if webhooks.regular_of(tx, owner) >= self._most_of_an_owner:
            raise Conflict(
                f"Goods owner {owner} has {self._most_of_an_owner} webhooks already; it may have no more.",
                code="webhook_limit",
                hint="Delete one that is not needed, or ask the operator to raise limits.webhooks_per_owner.",
            )

    def _checked(
        self, actor: Actor, document: Mapping[str, Any], state: State, *, stored: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings and secrets to store, if they are right and the actor may make such a webhook."""
        actor.need("manage")
        if document.get("kind") == "automation":
            actor.need_everyone()
        owners = document.get("goodsOwnerIds")
        for owner in owners if isinstance(owners, list) else []:
            if isinstance(owner, int) and not actor.sees(owner):
                text = f"There is no goods owner {owner}."
                raise InvalidInput([Problem("goodsOwnerIds", "goods_owner", text)])
        return checked_settings(document, state=state, addresses=self._addresses, stored_secrets=stored)

    def _save(
        self,
        tx: Transaction,
        actor: Actor,
        webhook_id: int,
        version: int,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Any],
        *,
        created_at: Moment,
        disabled_reason: str | None,
        now: Moment,
        noted: str,
        before: Row | None = None,
        deleted_at: Moment | None = None,
    ) -> None:
        """Write the webhook, its version, and who did it."""
        values = {
            "id": webhook_id,
            "version": version,
            "kind": settings["kind"],
            "name": settings["name"],
            "event_type": settings["eventType"],
            "enabled": int(settings["enabled"]),
            "disabled_reason": disabled_reason,
            "settings": json.dumps(settings, ensure_ascii=False),
            "secrets": self._vault.seal(json.dumps(secrets), place=f"webhooks/{webhook_id}/secrets"),
            "max_concurrency": settings["maxConcurrency"],
            "keeps_order": int(settings.get("keepOrder", False)),
            "created_at": created_at,
            "deleted_at": deleted_at,
        }
        webhooks.save(tx, values=values, goods_owners=settings["goodsOwnerIds"], actor=actor.id, now=now)
        seen_before = None if before is None else self.view(before)
        sides = [settings, seen_before or settings]
        regular = all(side["kind"] == "regular" for side in sides)
        owners = {owner for side in sides for owner in side["goodsOwnerIds"]} if regular else None
        after = None if deleted_at is not None else self.view(_must_find(tx, webhook_id))
        about = f"webhook/{webhook_id}"
        audit.note(tx, actor, noted, about, now=now, goods_owners=owners, before=seen_before, after=after)

    def _secrets_of(self, row: Row) -> dict[str, Any]:
        opened: dict[str, Any] = json.loads(self._vault.open(row["secrets"], place=f"webhooks/{row['id']}/secrets"))
        return opened

    def _set(self, secret: str) -> dict[str, Any]:
        return {"set": True, "fingerprint": self._vault.fingerprint(secret)}


def _kind_of_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if {**before, "enabled": None} != {**after, "enabled": None}:
        return "webhook.changed"
    return "webhook.enabled" if after["enabled"] else "webhook.disabled"


def _end_for_removed(tx: Transaction, actor: Actor, webhook_id: int, *, now: Moment) -> None:
    """What waits for goods owners that the webhook serves no more ends: it must not go to others' receivers."""
    for owner, count in sorted(Counter(backlog.cancel_not_served(tx, webhook_id, now=now)).items()):
        # Each goods owner may read of their own deliveries, and of nobody else's.
        audit.note(
            tx, actor, "deliveries.cancelled", f"webhook/{webhook_id}", now=now, goods_owners=[owner],
            after={"reason": "goods_owner_removed", "goodsOwnerId": owner, "count": count},
        )  # fmt: skip


def _must_find(tx: Transaction, webhook_id: int) -> Row:
    row = webhooks.find(tx, webhook_id)
    assert row is not None
    return row


def _time(moment: Moment | None) -> str | None:
    return None if moment is None else to_text(moment)
