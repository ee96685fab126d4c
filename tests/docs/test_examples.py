"""The marked examples of the how-to pages run."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import SECOND
from dockbell.domain.credentials import new_signing_secret
from dockbell.domain.request import signatures
from dockbell.domain.webhook import SigningSecret
from dockbell.embed import Store
from dockbell.settings import Settings
from dockbell.store import events, people
from tests.support.examples import examples

BODY = '{"goodsOwnerId":114,"goodsOwnerName":"Östersjö Te"}'.encode()
KEY = bytes(range(32))
SECRET = new_signing_secret(KEY)
Verify = Callable[[str, dict[str, str], bytes], bool]


def signed(*keys: bytes, age_s: int = 0) -> dict[str, str]:
    now = int(time.time_ns() // 10**9) - age_s  # noqa: TID251 - the example asks the real clock
    secrets = [SigningSecret(key, None) for key in keys]
    value = signatures(secrets, "880123-12", now, BODY, now * SECOND)
    return {"webhook-id": "880123-12", "webhook-timestamp": str(now), "webhook-signature": value}


def python_verify() -> Verify:
    room: dict[str, Any] = {}
    exec(examples()["python"], room)
    found: Verify = room["verify"]
    return found


def javascript_verify() -> Verify:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    call = "\nconst [s, h, b] = JSON.parse(process.argv[1]); console.log(verify(s, h, Buffer.from(b, 'utf8')));"

    def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
        given = json.dumps([secret, headers, body.decode()])
        ran = subprocess.run(
            [node, "-e", examples()["javascript"] + call, given], capture_output=True, text=True, check=True
        )
        return {"true\n": True, "false\n": False}[ran.stdout]

    return verify


def shell_verify(folder: Path) -> Verify:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
        (folder / "body.json").write_bytes(body)
        given = {"SECRET": secret, "ID": headers["webhook-id"], "TIMESTAMP": headers["webhook-timestamp"]}
        ran = subprocess.run(
            ["sh", "-c", examples()["shell"]], cwd=folder, capture_output=True, text=True, check=True,
            env={**os.environ, **given, "SIGNATURE": headers["webhook-signature"]},
        )  # fmt: skip
        return {"genuine\n": True, "forged\n": False}[ran.stdout]

    return verify


@pytest.fixture(params=["python", "javascript", "shell"])
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Verify:
    makers: dict[str, Callable[[], Verify]] = {
        "python": python_verify,
        "javascript": javascript_verify,
        "shell": lambda: shell_verify(tmp_path),
    }
    return makers[request.param]()


def test_an_example_accepts_what_dockbell_signs(verify: Verify):
    assert verify(SECRET, signed(KEY), BODY)


def test_an_example_accepts_either_secret_while_one_rotates(verify: Verify):
    assert verify(SECRET, signed(b"another secret of some length", KEY), BODY)


def test_an_example_refuses_another_body_and_another_secret(verify: Verify):
    assert not verify(SECRET, signed(KEY), BODY + b" ")
    assert not verify(SECRET, signed(b"another secret of some length"), BODY)


def test_the_example_in_python_refuses_an_old_request():
    assert not python_verify()(SECRET, signed(KEY, age_s=400), BODY)


def test_the_example_in_javascript_refuses_an_old_request():
    assert not javascript_verify()(SECRET, signed(KEY, age_s=400), BODY)


@pytest.mark.parametrize("verify", ["python", "javascript"], indirect=True)
def test_an_example_refuses_what_has_no_signature_at_all(verify: Verify):
    """Whoever finds the address asks it something: that must be no error of the receiver's."""
    for name in signed(KEY):
        assert not verify(SECRET, {other: value for other, value in signed(KEY).items() if other != name}, BODY)
    for timestamp in ("", "abc", "9" * 5_000):
        assert not verify(SECRET, {**signed(KEY), "webhook-timestamp": timestamp}, BODY)


def a_warehouse(file: Path) -> None:
    store = Store(Settings(database=str(file)))

    def prepare(tx: Any) -> None:
        people.put_goods_owner(tx, 114, "Nordic Tea AB", now=store.clock.now())
        tx.run("CREATE TABLE my_orders (id BIGINT PRIMARY KEY, status BIGINT NOT NULL)")
        tx.run("INSERT INTO my_orders (id, status) VALUES (50163, 300)")

    store.database.submit_write(prepare).result()
    store.close()


def test_the_example_of_a_transaction_keeps_the_change_and_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    a_warehouse(tmp_path / "warehouse.sqlite")
    room: dict[str, Any] = {}
    exec(examples()["publish"], room)
    store = Store(Settings(database="warehouse.sqlite"))
    row = store.database.submit_read(lambda tx: events.find(tx, room["event_id"])).result()
    order = store.database.submit_read(lambda tx: tx.one("SELECT status FROM my_orders")).result()
    store.close()
    assert row is not None and row["object_key"] == "order/50163"
    assert order is not None and order["status"] == 400


def test_the_example_of_a_backup_copies_the_newest_commit(tmp_path: Path):
    a_warehouse(tmp_path / "dockbell.sqlite")
    subprocess.run(["sh", "-c", examples()["backup"]], cwd=tmp_path, check=True)
    copy = sqlite3.connect(tmp_path / "backup.sqlite")
    try:
        assert copy.execute("SELECT name FROM goods_owners WHERE id = 114").fetchall() == [("Nordic Tea AB",)]
    finally:
        copy.close()
