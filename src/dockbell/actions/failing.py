"""Webhooks of which every attempt fails: people are told by mail, and after days the webhook is disabled.

At most one mail an hour about a webhook, however much fails: what is to be said later replaces what was not sent yet.
Without a mail server nobody is told, and webhooks are disabled all the same; what waits is held, never dropped.
"""

import json

from dockbell.actions.webhooks import Webhooks
from dockbell.clock import HOUR, MINUTE, Moment, to_text
from dockbell.domain.failing import Stage, is_later, stage_of
from dockbell.domain.permissions import SYSTEM
from dockbell.store import failing
from dockbell.store.database import Row, Transaction

LOOKED_EVERY = MINUTE
APART = HOUR


def look(
    tx: Transaction,
    webhooks: Webhooks,
    *,
    now: Moment,
    disable_after_days: float,
    mailing: bool,
    every: Moment = LOOKED_EVERY,
) -> list[int]:
    """Do what is due about webhooks that only fail; those that were disabled. Whichever node looks first does it for all."""
    if not failing.turn_to_look(tx, now=now, every=every):
        return []
    disabled = []
    for row in failing.failing(tx):
        stage = stage_of(row["failing_since"], row["tried_at"], now=now, disable_after_days=disable_after_days)
        same = row["told_since"] == row["failing_since"]
        if stage is None or not is_later(stage, row["stage"] if same else None):
            continue
        if stage == "disabled":
            webhooks.deactivate(tx, SYSTEM, row["webhook_id"], reason_of(disable_after_days), now=now)
            disabled.append(int(row["webhook_id"]))
        recipient = json.loads(row["settings"])["email"]
        told_at = row["told_at"] or 0
        if mailing and recipient is not None:
            subject, body = letter(tx, row, stage, disable_after_days=disable_after_days)
            told_at = failing.put_mail(
                tx, webhook_id=row["webhook_id"], recipient=recipient, subject=subject, body=body, now=now,
                due_at=max(now, told_at + APART),
            )  # fmt: skip
        failing.tell(tx, row["webhook_id"], failing_since=row["failing_since"], stage=stage, told_at=told_at)
    return disabled


def reason_of(days: float) -> str:
    return f"Every attempt failed for {days:g} days. Mend the receiver, then enable the webhook: what waits is held until then."


def letter(tx: Transaction, row: Row, stage: Stage, *, disable_after_days: float) -> tuple[str, str]:
    """Subject and text of a mail about this webhook."""
    name = " ".join(row["name"].split())[:100]
    since = to_text(row["failing_since"])[:16].replace("T", " ") + " UTC"
    subject, what = {
        "began": (
            f"Dockbell: webhook “{name}” fails",
            "Failed deliveries are tried again as the webhook's retry policy says.",
        ),
        "warning": (
            f"Dockbell: webhook “{name}” will be disabled",
            f"After {disable_after_days:g} days of nothing but failures it is disabled, and nothing is sent any more.",
        ),
        "disabled": (
            f"Dockbell: webhook “{name}” was disabled",
            f"That lasted for {disable_after_days:g} days, so it was disabled. What waits is held until somebody enables it; what happens until then can be sent afterwards: Send what it missed, on its page.",
        ),
    }[stage]
    count = failing.failed_since(tx, row["webhook_id"], row["failing_since"])
    lines = [
        f"Every attempt of the webhook “{name}” (number {row['webhook_id']}) has failed since {since}: {count:,} so far.",
        what,
        "What to do: Administration => Webhooks in Dockbell, this webhook, Logs. Each attempt says what was met and what to do.",
        "You get this mail because your address stands in the webhook; at most one an hour is sent about it.",
    ]
    return subject, "\n\n".join(lines) + "\n"
