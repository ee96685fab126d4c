"""The histories of a fault run as files, and the checker that reads nothing else.

    python -m tests.faults.histories FOLDER ...      judges the files of runs once more; exit code 1 if a fault is found

published.jsonl is what the publishers noted, received.jsonl what the receivers wrote before they answered, log.jsonl what the
product's API told in the end, webhooks.json who was to get what. No database is opened here.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.accounting import FAULTS, Account, Attempt, Logged, Publication, Receipt, Webhook, account

SHOWN_FAULTS = 5


def write(
    folder: Path, webhooks: Sequence[Webhook], publications: Iterable[Publication], log: Iterable[Logged]
) -> None:
    """Beside received.jsonl, whose places of receivers are the webhooks in their order."""
    (folder / "webhooks.json").write_text(json.dumps([asdict(one) for one in webhooks], default=sorted))
    for name, rows in (("published", publications), ("log", log)):
        lines = (json.dumps(asdict(one), default=sorted, ensure_ascii=False) + "\n" for one in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def check(folder: Path) -> Account:
    """Hold the files of one run against each other."""
    webhooks = [
        Webhook(
            one["id"],
            frozenset(one["goods_owners"]),
            one["id_field"],
            frozenset(one.get("may_end", ())),
            tuple(one.get("steps_s", ())),
        )
        for one in json.loads((folder / "webhooks.json").read_text())
    ]
    publications = [
        Publication(
            one["number"], one["goods_owner"], one["data"], frozenset(one["wanted_by"]), frozenset(one["event_ids"])
        )
        for one in lines_of(folder / "published.jsonl")
    ]
    log = [
        Logged(
            **{**one, "attempt_list": None if one["attempt_list"] is None else tuple(_attempts(one["attempt_list"]))}
        )
        for one in lines_of(folder / "log.jsonl")
    ]
    return account(webhooks, publications, receipts(folder, [one.id for one in webhooks]), log)


def receipts(folder: Path, webhook_ids: Sequence[int]) -> list[Receipt]:
    return [
        Receipt(
            webhook_ids[one["place"]],
            one["id"],
            one["body"],
            one["signed"],
            one["answered"],
            one["at"],
            one["connection"],
            one["until"],
        )
        for one in lines_of(folder / "received.jsonl")
    ]


def lines_of(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _attempts(told: Iterable[dict[str, Any]]) -> Iterable[Attempt]:
    return (Attempt(**one) for one in told)


def main(folders: Sequence[str]) -> int:
    clean = bool(folders)
    for folder in folders:
        found = check(Path(folder))
        clean = clean and found.is_clean
        counts = ", ".join(f"{name} {len(found.faults[name])}" for name in FAULTS)
        print(f"{folder}: {found.published} published, {found.received} received; {counts}")
        for name in FAULTS:
            for text in found.faults[name][:SHOWN_FAULTS]:
                print(f"  {name}: {text}")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
