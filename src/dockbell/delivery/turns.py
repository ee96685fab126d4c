"""Whose turn it is: goods owners one after the other, and the webhooks of each one after the other.

Whoever was served longest ago comes first, so that nobody's backlog, however long, keeps another waiting for more than
one turn of each goods owner that has something due. Automation webhooks for the same goods owners take turns as one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from dockbell.domain.webhook import Webhook

MOST_REMEMBERED = 20_000
Owners = frozenset[int] | None


class Turns:
    def __init__(self) -> None:
        self.after = 0
        """The webhook to look on from: where so many have something due that one look does not find them all."""
        self._number = 0
        self._of_webhook: dict[int, int] = {}
        self._of_owners: dict[Owners, int] = {}

    def in_order(self, due: Sequence[int], webhooks: Mapping[int, Webhook], *, full: bool) -> list[int]:
        """Those of `due` that are known in the order they are to be served in; `full` says that there may be more."""
        self.after = due[-1] if full else 0
        if len(self._of_webhook) > MOST_REMEMBERED:
            self._of_webhook = {webhook: self._of_webhook.get(webhook, 0) for webhook in due}
            self._of_owners.clear()
        by_owners: dict[Owners, list[int]] = defaultdict(list)
        for webhook_id in due:
            if (webhook := webhooks.get(webhook_id)) is not None:
                by_owners[webhook.goods_owners].append(webhook_id)
        for each in by_owners.values():
            each.sort(key=lambda webhook_id: self._of_webhook.get(webhook_id, 0))
        in_turn = sorted(by_owners.values(), key=lambda each: self._of_owners.get(webhooks[each[0]].goods_owners, 0))
        return [webhook_id for each in zip_longest(*in_turn) for webhook_id in each if webhook_id is not None]

    def served(self, webhook: Webhook) -> None:
        self._number += 1
        self._of_webhook[webhook.id] = self._of_owners[webhook.goods_owners] = self._number
