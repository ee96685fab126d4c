"""Webhooks as a file: out without their secrets, in by the same rules as over the API, disabled until enabled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dockbell.actions.webhook_input import WebhookInput
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Moment
from dockbell.domain.permissions import Actor
from dockbell.errors import DockbellError, InvalidInput, Problem
from dockbell.store.database import Transaction

A_PAGE = 500
MOST_ENTRIES = 500
"""Of an import, which is one transaction: more would keep all other writers waiting."""
IMPORTED = "It was imported. Check it, then enable it."
_FIELDS = tuple(field.alias or name for name, field in WebhookInput.model_fields.items() if name != "signing_secret")


def export(tx: Transaction, actor: Actor, store: Webhooks, webhook_ids: Sequence[int] | None = None) -> dict[str, Any]:
    """Those webhooks, or all that the actor may see, as a document that `import_all` takes, if need be in parts."""
    if webhook_ids is None:
        shown = list(_all(tx, actor, store))
    else:
        shown = [store.get(tx, actor, webhook_id) for webhook_id in webhook_ids]
    return {"dockbellWebhooks": 1, "webhooks": [_entry(webhook) for webhook in shown]}


def _all(tx: Transaction, actor: Actor, store: Webhooks) -> Iterator[dict[str, Any]]:
    after = 0
    while shown := store.page(tx, actor, after=after, limit=A_PAGE):
        yield from shown
        after = shown[-1]["id"]


def _entry(webhook: Mapping[str, Any]) -> dict[str, Any]:
    authentication = {
        name: value for name, value in webhook["authentication"].items() if name not in ("password", "token")
    }
    headers = [
        {"name": header["name"], "secret": True} if header["secret"] else header for header in webhook["headers"]
    ]
    return {**{name: webhook[name] for name in _FIELDS}, "authentication": authentication, "headers": headers}


def import_all(
    tx: Transaction, actor: Actor, store: Webhooks, document: Any, *, only_right_ones: bool = False, now: Moment
) -> tuple[list[int], list[Problem]]:
    """Make the webhooks of an exported document, all disabled; their ids, and what is wrong with those left out.

    Raises InvalidInput with every problem of every entry, and makes none, unless `only_right_ones`.
    """
    actor.need("manage")
    entries = _entries(document)
    problems: list[Problem] = []
    right = []
    for place, entry in enumerate(entries):
        found = _problems_with(tx, actor, store, entry)
        problems += [Problem(_at(place, each.field), each.code, each.message) for each in found]
        if not found:
            right.append({**entry, "enabled": False})
    if problems and not (only_right_ones and right):
        raise InvalidInput(problems)
    made = [
        store.create(tx, actor, entry, now=now, noted="webhook.imported", disabled_reason=IMPORTED) for entry in right
    ]
    return [saved.webhook["id"] for saved in made], problems


def _entries(document: Any) -> list[Any]:
    entries = document.get("webhooks") if isinstance(document, Mapping) else document
    if not isinstance(entries, list) or not entries:
        text = 'Nothing to import: write a list of webhooks, or {"webhooks": [...]} as an export has it.'
        raise InvalidInput([Problem("webhooks", "type", text)])
    if len(entries) > MOST_ENTRIES:
        text = f"{len(entries)} entries are too many at once; at most {MOST_ENTRIES} are allowed. Import them in parts."
        raise InvalidInput([Problem("webhooks", "length", text)])
    return entries


def _problems_with(tx: Transaction, actor: Actor, store: Webhooks, entry: Any) -> Sequence[Problem]:
    if not isinstance(entry, Mapping):
        return [Problem("", "type", "An entry must be an object with the settings of one webhook.")]
    try:
        store.judge(tx, actor, {**entry, "enabled": False})
    except InvalidInput as wrong:
        return wrong.problems
    except DockbellError as refused:
        return [Problem("", refused.code, refused.message)]
    return []


def _at(place: int, field: str) -> str:
    """Entries are numbered from 1, as people count."""
    return f"webhook {place + 1}" + (f": {field}" if field else "")
