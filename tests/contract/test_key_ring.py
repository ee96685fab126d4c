"""The key ring: keys change while programs run, and an old one may go when nothing needs it."""

import base64
import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions.doctor import examine
from dockbell.clock import SystemClock
from dockbell.domain.findings import Installation
from dockbell.errors import ConfigError
from dockbell.store.database import Database, Transaction
from dockbell.store.vault import Vault, add_key, id_of, open_vault, read_ring, rows_by_key
from tests.support.rows import put_goods_owners, put_webhook, read, rows_of, write

SECRETS = 50


def sealed_webhooks(database: Database, vault: Vault) -> None:
    put_goods_owners(database)
    for n in range(1, SECRETS + 1):
        put_webhook(
            database, n, secrets=vault.seal(json.dumps({"token": f"secret {n}"}), place=f"webhooks/{n}/secrets")
        )


def opened(database: Database, vault: Vault) -> list[str]:
    rows = rows_of(database, "SELECT id, secrets FROM webhooks ORDER BY id")
    return [json.loads(vault.open(row["secrets"], place=f"webhooks/{row['id']}/secrets"))["token"] for row in rows]


def reseal_all(database: Database, vault: Vault, batch: int = 20) -> int:
    count = 0
    while done := write(database, lambda tx: vault.reseal(tx, limit=batch)):
        assert done <= batch
        count += done
    return count


def drop_old_keys(key_file: Path) -> None:
    key_file.write_text(key_file.read_text().splitlines()[0] + "\n")


ALL = [f"secret {n}" for n in range(1, SECRETS + 1)]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "ring"


def test_s2_every_secret_is_sealed_with_the_new_key_and_the_old_one_may_go(database: Database, key_file: Path) -> None:
    vault = open_vault(key_file, database)
    sealed_webhooks(database, vault)
    before = vault.fingerprint("secret 1")
    old = vault.newest
    new = add_key(key_file)
    assert new != old
    assert key_file.stat().st_mode & 0o777 == 0o600
    rotating = open_vault(key_file, database)
    assert reseal_all(database, rotating) == SECRETS
    assert read(database, rows_by_key) == {new: SECRETS + 1}
    drop_old_keys(key_file)
    alone = open_vault(key_file, database)
    assert opened(database, alone) == ALL
    assert alone.fingerprint("secret 1") == before
    assert {row["key_id"] for row in rows_of(database, "SELECT key_id FROM vault_checks")} == {new, "fingerprint"}


def test_s2_a_program_that_runs_seals_and_opens_with_a_key_that_was_added_since(
    database: Database, key_file: Path
) -> None:
    running = open_vault(key_file, database)
    sealed_webhooks(database, running)
    new = add_key(key_file)
    assert running.seal("x", place="y").startswith(new + ":")
    reseal_all(database, open_vault(key_file, database))
    assert opened(database, running) == ALL
    assert running.seal("x", place="y").startswith(new + ":")


def test_s2_a_program_that_runs_opens_what_it_has_not_seen_sealed(database: Database, key_file: Path) -> None:
    running = open_vault(key_file, database)
    sealed_webhooks(database, running)
    new = add_key(key_file)
    other = open_vault(key_file, database)
    sealed = other.seal("told", place="here")
    assert sealed.startswith(new)
    assert running.open(sealed, place="here") == "told"


def test_s2_a_stopped_rotation_goes_on_where_it_was(database: Database, key_file: Path) -> None:
    sealed_webhooks(database, open_vault(key_file, database))
    new = add_key(key_file)
    first = open_vault(key_file, database)
    assert write(database, lambda tx: first.reseal(tx, limit=20)) == 20
    assert read(database, rows_by_key)[new] == 20
    second = open_vault(key_file, database)
    assert reseal_all(database, second) == SECRETS - 20
    assert opened(database, second) == ALL


def test_s2_without_a_key_that_secrets_need_nothing_starts_and_the_key_is_named(
    database: Database, key_file: Path
) -> None:
    vault = open_vault(key_file, database)
    old = vault.newest
    sealed_webhooks(database, vault)
    add_key(key_file)
    rotating = open_vault(key_file, database)
    write(database, lambda tx: rotating.reseal(tx, limit=20))
    drop_old_keys(key_file)
    with pytest.raises(ConfigError) as refused:
        open_vault(key_file, database)
    assert old in refused.value.message
    assert f"sealed {SECRETS - 20 + 1} secrets" in refused.value.message


def test_s2_a_key_of_another_database_is_refused_even_where_nothing_is_sealed_yet(
    database: Database, key_file: Path, tmp_path: Path
) -> None:
    mine = open_vault(key_file, database).newest
    write(database, lambda tx: tx.run("DELETE FROM vault_checks WHERE key_id = 'fingerprint'"))
    foreign = tmp_path / "foreign"
    foreign.write_text("A" * 43 + "=\n")
    with pytest.raises(ConfigError, match=mine):
        open_vault(foreign, database)


def test_s2_the_ring_may_come_from_the_environment(database: Database, key_file: Path) -> None:
    sealed_webhooks(database, open_vault(key_file, database))
    given = open_vault(key_file.with_name("none"), database, given=" ".join(key_file.read_text().split()))
    assert opened(database, given) == ALL
    assert not key_file.with_name("none").exists()
    with pytest.raises(ConfigError, match="44 characters"):
        open_vault(key_file, database, given="AAAA")


def test_s2_a_ring_that_is_broken_while_a_program_runs_is_not_taken(database: Database, key_file: Path) -> None:
    vault = open_vault(key_file, database)
    ring: Any = read_ring(key_file)
    key_file.write_text("half a li")
    assert vault.seal("x", place="y").startswith(id_of(ring[0]))
    assert vault.open(vault.seal("x", place="y"), place="y") == "x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no key"),
        (b"\n", "holds no key"),
        (b"AAAA\n", "44 characters"),
        (b"no base64!\n", "no base64"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "is missing"),
        (b"A" * 43 + b"=\n", "lacks key"),
    ],
)
def test_what_is_wrong_with_a_key_file_is_said_by_the_doctor_as_by_the_start(
    database: Database, key_file: Path, content: bytes | None, said: str
) -> None:
    sealed_webhooks(database, open_vault(key_file, database))
    here = Installation(key_file=str(key_file))
    assert not {"keys", "old_keys"} & {each.code for each in examine(database, here, SystemClock())}
    if content is None:
        key_file.unlink()
    else:
        key_file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as refused:
        open_vault(key_file, database)
    found = {each.code: each for each in examine(database, here, SystemClock())}
    assert found["keys"].text == f"No node starts with these keys: {refused.value.message}"
    assert "old_keys" not in found
    if said != "lacks key":
        assert str(key_file) in refused.value.message


def test_a_key_file_that_cannot_be_made_is_named(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made") as refused:
        open_vault(tmp_path / "file" / "dockbell.key", database)
    assert "DOCKBELL_KEY_FILE" in refused.value.hint


@pytest.mark.parametrize(
    ("given", "said"), [("", "holds no key"), ("AAAA", "44 characters"), ("A" * 43 + "=", "lacks key")]
)
def test_what_is_wrong_with_given_keys_is_said_by_the_doctor_as_by_the_start(
    database: Database, key_file: Path, given: str, said: str
) -> None:
    sealed_webhooks(database, open_vault(key_file, database))
    sound = key_file.read_text()
    assert "keys" not in {each.code for each in examine(database, Installation(given_keys=sound), SystemClock())}
    with pytest.raises(ConfigError, match=said) as refused:
        open_vault(key_file, database, given=given)
    found = {each.code: each for each in examine(database, Installation(given_keys=given), SystemClock())}
    assert found["keys"].text == f"No node starts with these keys: {refused.value.message}"
    assert sound.strip() not in repr(Installation(given_keys=sound))


A_KEY = "A" * 43 + "=\n"


def test_s2_a_link_to_the_key_file_stays_a_link_and_the_file_gets_the_key(key_file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = elsewhere / "real"
    real.write_text(A_KEY)
    key_file.symlink_to(real)
    new = add_key(key_file)
    assert key_file.is_symlink()
    assert id_of(read_ring(real)[0]) == new
    assert len(read_ring(real)) == 2
    assert list(elsewhere.iterdir()) == [real]


def test_s2_two_that_add_a_key_at_a_time_both_find_it_in_the_ring(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file.write_text(A_KEY)
    both_have_read = threading.Barrier(2)

    def read(path: Path) -> list[bytes]:
        ring = read_ring(path)
        with contextlib.suppress(threading.BrokenBarrierError):  # the other one waits for its turn
            both_have_read.wait(0.5)
        return ring

    monkeypatch.setattr("dockbell.store.vault.read_ring", read)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(add_key, [key_file, key_file]))
    ring = [id_of(key) for key in read_ring(key_file)]
    assert set(told) < set(ring)
    assert len(ring) == 3


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EROFS, errno.EBUSY], ids=errno.errorcode.get)
def test_s2_a_key_file_that_cannot_be_replaced_stays_and_is_named_with_what_to_do(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    key_file.write_text(A_KEY)

    def refuse(_: Path, to: Path) -> None:
        raise OSError(why, os.strerror(why), str(to))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ConfigError) as refused:
        add_key(key_file)
    assert refused.value.message == f"No key can be put into the key file {key_file}: {os.strerror(why)}."
    assert "docs/how-to/rotate-the-key.md" in refused.value.hint
    assert key_file.read_text() == A_KEY
    assert list(key_file.parent.glob(f"{key_file.name}*")) == [key_file]


def test_s2_a_new_key_is_on_the_disk_with_its_name_before_anything_is_sealed_with_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "made" / "ring"
    synced: list[tuple[tuple[int, int], int]] = []
    sync = os.fsync

    def keys() -> int:
        return len(read_ring(key_file)) if key_file.exists() else 0

    def watched(opened: int) -> None:
        found = os.fstat(opened)
        synced.append(((found.st_dev, found.st_ino), keys()))
        sync(opened)

    def identity(path: Path) -> tuple[int, int]:
        return path.stat().st_dev, path.stat().st_ino

    monkeypatch.setattr(os, "fsync", watched)
    open_vault(key_file, database)
    assert synced == [(identity(tmp_path), 0), (identity(key_file), 0), (identity(key_file.parent), 1)]
    synced.clear()
    add_key(key_file)
    assert synced == [(identity(key_file), 1), (identity(key_file.parent), 2)]


def test_s2_a_first_start_on_a_full_disk_leaves_nothing_and_the_next_one_makes_the_key(
    database: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(opened: int, mode: str) -> object:
        os.close(opened)
        return Path("/dev/full").open(mode)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fdopen", full)
        with pytest.raises(ConfigError, match="cannot be made: No space left on device"):
            open_vault(key_file, database)
    assert not list(key_file.parent.glob(f"{key_file.name}*"))
    open_vault(key_file, database)
    assert len(read_ring(key_file)) == 1
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert list(key_file.parent.glob(f"{key_file.name}*")) == [key_file]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links, as on FAT"])
def test_s2_of_two_first_starts_at_a_time_both_take_the_key_of_one(
    database: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    link = os.link

    def later(made: Path, name: Path) -> None:
        key_file.write_text(A_KEY)
        if not links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        link(made, name)

    monkeypatch.setattr(os, "link", later)
    vault = open_vault(key_file, database)
    assert key_file.read_text() == A_KEY
    assert [vault.newest] == [id_of(key) for key in read_ring(key_file)]
    assert list(key_file.parent.glob(f"{key_file.name}*")) == [key_file]


def test_s2_a_first_start_makes_the_key_where_a_file_has_only_one_name(
    database: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(made: Path, _: Path) -> None:
        asked.append(made)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    open_vault(key_file, database)
    assert asked
    assert len(read_ring(key_file)) == 1
    assert list(key_file.parent.glob(f"{key_file.name}*")) == [key_file]


def test_two_nodes_may_start_for_the_first_time_at_once(
    database: Database, open_again: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if database.dialect != "postgres":
        pytest.skip("one node serves a SQLite file")
    both, real, of_thread = threading.Barrier(2, timeout=2), Vault._mark, threading.local()

    def mark(vault: Vault, tx: Transaction, name: str, text: str) -> None:
        """Both have seen that there is no mark, unless one waits for the other before it looks."""
        if not hasattr(of_thread, "met"):
            of_thread.met = True
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait()
        real(vault, tx, name, text)

    monkeypatch.setattr(Vault, "_mark", mark)
    key = base64.b64encode(os.urandom(32)).decode()
    with ThreadPoolExecutor(2) as threads:
        starting = [threads.submit(open_vault, tmp_path / "none", each, given=key) for each in (database, open_again())]
        fingerprints = {each.result(20).fingerprint("secret") for each in starting}
    assert len(fingerprints) == 1
