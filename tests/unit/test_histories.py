"""The checker reads the files of a run and nothing else, and its word is its exit code."""

import json
from pathlib import Path

from tests.faults import histories
from tests.unit.test_accounting import FJORD, WEBHOOKS, History, a_history


def written(folder: Path, history: History) -> Path:
    """The history as the files of a run; receivers write their place, not a webhook's id."""
    places = {webhook.id: place for place, webhook in enumerate(WEBHOOKS)}
    lines = [
        {
            "place": places[one.webhook],
            "id": one.delivery_id,
            "body": one.body,
            "signed": one.is_signed,
            "answered": one.answered,
            "at": one.at,
            "until": one.until,
            "connection": one.connection,
        }
        for one in history.receipts
    ]
    (folder / "received.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    histories.write(folder, WEBHOOKS, history.publications, history.log)
    return folder


def test_files_are_judged_as_what_was_written_to_them(tmp_path: Path):
    history = a_history()
    assert histories.check(written(tmp_path, history)) == history.account()
    assert histories.main([str(tmp_path)]) == 0


def test_one_line_less_in_the_log_and_the_receipts_is_a_loss(tmp_path: Path):
    written(tmp_path, a_history())
    for name, key in (("received", "id"), ("log", "event_id")):
        file = tmp_path / f"{name}.jsonl"
        kept = [line for line in file.read_text().splitlines() if not str(json.loads(line)[key]).startswith("902")]
        file.write_text("\n".join(kept) + "\n")
    assert len(histories.check(tmp_path).faults["LOST"]) == 2
    assert histories.main([str(tmp_path)]) == 1


def test_another_owner_in_a_publication_is_crossing(tmp_path: Path):
    written(tmp_path, a_history())
    file = tmp_path / "published.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["goods_owner"] = FJORD
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert histories.check(tmp_path).faults["CROSS"]


def test_no_history_at_all_proves_nothing():
    assert histories.main([]) == 1
