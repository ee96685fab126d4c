"""Sealing secrets: AES-256-GCM, bound to the row and field they belong to.

A sealed text names its key, so that keys can be changed one by one. The place it was sealed for is part
of the seal: moved to another row, it does not open. The key lies in a file of its own, never in the database.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dockbell.errors import ConfigError
from dockbell.store import counters
from dockbell.store.database import Database, Transaction
from dockbell.store.whole_file import give_name, make_folder, sync_folder

log = structlog.get_logger()
NONCE_BYTES = 12
KEY_BYTES = 32


FINGERPRINT = "fingerprint"
KEYS_BACK = "Put it back from your backup; only where nothing is sealed yet may it go, and a new one be made."
KEY_ID_LENGTH = 9


class Vault:
    """Opens with any of its keys, seals with the first.

    `ring` is read again when a key turns up that is not known, and before sealing: so keys are changed while nodes run.
    """

    def __init__(self, ring: Callable[[], Sequence[bytes]]) -> None:
        self._ring = ring
        self._fingerprint_key = b""
        self._take(ring())

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._newest

    def seal(self, text: str, *, place: str) -> str:
        """`place` names table, row and field, such as `webhooks/12/secrets`."""
        self._look_again()
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, text.encode(), place.encode())
        return f"{self._newest}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, place: str) -> str:
        key_id, _, packed = sealed.partition(":")
        if key_id not in self._keys:
            self._look_again()
        cipher = self._keys.get(key_id)
        if cipher is None:
            raise ConfigError(f"{place} was sealed with key {key_id}, which is not in the key ring.")
        raw = base64.b64decode(packed, validate=True)
        try:
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()).decode()
        except InvalidTag as error:
            raise ConfigError(f"{place} does not open: it was changed, or belongs to another row.") from error

    def fingerprint(self, secret: str) -> str:
        """Eight hex digits that tell two secrets apart and say nothing about either."""
        return hmac.digest(self._fingerprint_key, secret.encode(), "sha256").hex()[:8]

    def check(self, tx: Transaction) -> None:
        """Refuse to start with keys that are not this database's, or without one that rows need; know the keys from now on.

        A key that no row needs any more may be gone.
        """
        counters.locked(tx, counters.WEBHOOKS_CHANGED)  # two nodes that start at once would both make the first marks
        marks, foreign = need_keys_of_rows(tx, set(self._keys))
        for key_id, sealed in marks.items():
            if key_id in self._keys:
                self.open(sealed, place=f"vault_checks/{key_id}")
        for key_id in foreign:
            tx.run("DELETE FROM vault_checks WHERE key_id = :key_id", key_id=key_id)
            log.info("vault.key_retired", key=key_id)
        if self._newest not in marks:
            self._mark(tx, self._newest, "dockbell")
        if FINGERPRINT in marks:  # it outlives the key it was made of: fingerprints stay the same
            self._fingerprint_key = bytes.fromhex(self.open(marks[FINGERPRINT], place=f"vault_checks/{FINGERPRINT}"))
        else:
            self._mark(tx, FINGERPRINT, self._fingerprint_key.hex())

    def reseal(self, tx: Transaction, *, limit: int) -> int:
        """Seal up to `limit` secrets with the newest key that were not; how many. 0: none is left."""
        rows = tx.all(
            """
            SELECT w.id, w.secrets FROM webhooks w
             WHERE w.secrets <> '' AND substr(w.secrets, 1, :length) <> :newest
             ORDER BY w.id LIMIT :limit /*pg FOR UPDATE */
            """,
            length=KEY_ID_LENGTH,
            newest=self._newest,
            limit=limit,
        )
        anew = []
        for row in rows:
            place = f"webhooks/{row['id']}/secrets"
            anew.append((row["id"], self.seal(self.open(row["secrets"], place=place), place=place)))
        tx.run(
            """
            UPDATE webhooks SET secrets = r.secrets FROM :rows(id BIGINT, secrets TEXT) r WHERE webhooks.id = r.id
            """,
            rows=anew,
        )
        if rows:
            return len(rows)
        mark = tx.one("SELECT sealed FROM vault_checks WHERE key_id = :key_id", key_id=FINGERPRINT)
        if mark is not None and not mark["sealed"].startswith(self._newest):
            opened = self.open(mark["sealed"], place=f"vault_checks/{FINGERPRINT}")
            tx.run("DELETE FROM vault_checks WHERE key_id = :key_id", key_id=FINGERPRINT)
            self._mark(tx, FINGERPRINT, opened)
        return 0

    def _mark(self, tx: Transaction, name: str, text: str) -> None:
        tx.run(
            "INSERT INTO vault_checks (key_id, sealed) VALUES (:key_id, :sealed)",
            key_id=name,
            sealed=self.seal(text, place=f"vault_checks/{name}"),
        )

    def _look_again(self) -> None:
        try:
            self._take(self._ring())
        except ConfigError as error:  # the file may be half way through being changed: what we know still holds
            log.warning("vault.ring_unreadable", error=error.message)

    def _take(self, keys: Sequence[bytes]) -> None:
        self._keys = {id_of(key): AESGCM(key) for key in keys}
        self._newest = id_of(keys[0])
        self._fingerprint_key = self._fingerprint_key or hmac.digest(keys[0], b"dockbell fingerprint", "sha256")


def need_keys_of_rows(tx: Transaction, known: set[str]) -> tuple[dict[str, str], list[str]]:
    """Refuse a ring without a key that this database's secrets need; its marks, and the keys in them that the ring lacks."""
    marks = {row["key_id"]: row["sealed"] for row in tx.all("SELECT key_id, sealed FROM vault_checks")}
    missing = {key_id: count for key_id, count in rows_by_key(tx).items() if key_id not in known}
    foreign = sorted(set(marks) - {FINGERPRINT} - known)
    if missing or (foreign and len(foreign) == len(set(marks) - {FINGERPRINT})):
        raise ConfigError(
            f"The key ring lacks key {', '.join(sorted(missing) or foreign)}, which sealed "
            f"{sum(missing.values())} secrets of this database.",
            hint="Put that key's line back, below the others, and run `dockbell rotate-keys` before taking it out.",
        )
    return marks, foreign


def need_key_file(tx: Transaction, path: Path) -> None:
    """Refuse a missing key file of a database that holds secrets: one made anew would open none of them."""
    has_secrets = None if path.exists() else tx.one("SELECT sealed FROM vault_checks LIMIT 1")
    if has_secrets is not None:
        raise ConfigError(
            f"The key file {path} is missing, and the database holds secrets sealed with key "
            f"{has_secrets['sealed'][:KEY_ID_LENGTH]}. Put the file back from your backup, or name it in "
            "DOCKBELL_KEY_FILE.",
        )


def need_ring(tx: Transaction, path: Path, *, given: str | None = None) -> str | None:
    """What `open_vault` refuses, without changing anything; the id of the key that seals, None where there is no file yet."""
    if given is None:
        need_key_file(tx, path)
        if not path.exists():
            return None
    ids = [id_of(key) for key in _ring(path, given)]
    need_keys_of_rows(tx, set(ids))
    return ids[0]


def rows_by_key(tx: Transaction) -> dict[str, int]:
    """How many secrets each key has sealed."""
    rows = tx.all(
        """
        SELECT substr(s.sealed, 1, :length) AS key_id, count(*) AS n
          FROM (SELECT w.secrets AS sealed FROM webhooks w WHERE w.secrets <> ''
                UNION ALL SELECT c.sealed FROM vault_checks c WHERE c.key_id = :fingerprint) s
         GROUP BY substr(s.sealed, 1, :length)
        """,
        length=KEY_ID_LENGTH,
        fingerprint=FINGERPRINT,
    )
    return {row["key_id"]: int(row["n"]) for row in rows}


def open_vault(path: Path, database: Database, *, given: str | None = None) -> Vault:
    """The key ring in `path`, one base64 key a line, the newest first; made on the first start. `given` is one in its place."""
    if given is None:
        database.submit_read(lambda tx: need_key_file(tx, path)).result()
        if not path.exists():
            _make_key_file(path)
        _warn_if_open_to_others(path)
    vault = Vault(lambda: _ring(path, given))
    database.submit_write(vault.check).result()
    return vault


def _ring(path: Path, given: str | None) -> list[bytes]:
    return read_ring(path) if given is None else keys_of(given, "secret_keys")


def read_ring(path: Path) -> list[bytes]:
    try:
        return keys_of(path.read_text("ascii"), f"The key file {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The key file {path} cannot be read: {error}",
            hint="It must belong to the user that Dockbell runs as. If it is damaged, put it back from your backup.",
        ) from error


def keys_of(text: str, where: str) -> list[bytes]:
    try:
        keys = [base64.b64decode(line, validate=True) for line in text.split()]
    except ValueError as error:
        raise ConfigError(f"{where} holds what is no base64: {error}.", hint=KEYS_BACK) from error
    if not keys:
        raise ConfigError(f"{where} holds no key.", hint=KEYS_BACK)
    if any(len(key) != KEY_BYTES for key in keys):
        raise ConfigError(
            f"{where} holds a key that has not {KEY_BYTES} bytes, written as 44 characters of base64.", hint=KEYS_BACK
        )
    return keys


def add_key(path: Path) -> str:
    """Put a new key before the others in the file; its id. Whoever reads the file finds the old ring or the new one."""
    key = secrets.token_bytes(KEY_BYTES)
    try:
        ring = path.resolve(strict=True)  # a link stays: what it points to is replaced
        with _alone_with(ring):
            _replace(ring, [key, *read_ring(ring)])
    except OSError as error:
        raise ConfigError(
            f"No key can be put into the key file {path.absolute()}: {error.strerror}.",
            hint="Its folder must be writable and have room. Where it cannot be (a secret that is mounted into a "
            "container), put the new key into the file by hand: docs/how-to/rotate-the-key.md says how.",
        ) from error
    return id_of(key)


@contextmanager
def _alone_with(ring: Path) -> Iterator[None]:
    """Two that add a key at a time take turns: each would put its own ring in place of the other's."""
    while True:
        # A file on NFS is locked by who may write it, and one of mode 400 cannot be opened for that.
        opened = os.open(ring, os.O_RDWR if os.access(ring, os.W_OK) else os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(opened), ring.stat()):  # else it was replaced while we waited
                yield
                return
        finally:
            os.close(opened)


def _replace(ring: Path, keys: Sequence[bytes]) -> None:
    before = ring.stat()
    made = ring.with_name(ring.name + ".new")
    made.unlink(missing_ok=True)
    try:
        _write_keys(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), keys)
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(made, before.st_uid, before.st_gid)
        made.replace(ring)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    sync_folder(ring.parent)  # before a secret is sealed: rows must not outlive their key in a power cut


def _write_keys(opened: int, keys: Sequence[bytes]) -> None:
    with os.fdopen(opened, "w") as file:
        file.write("".join(base64.b64encode(each).decode() + "\n" for each in keys))
        file.flush()
        os.fsync(opened)


def _make_key_file(path: Path) -> None:
    """Never half of one: every later start would be refused with it."""
    made: Path | None = None
    try:
        make_folder(path.parent)
        opened, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)
        made = Path(name)
        _write_keys(opened, [secrets.token_bytes(KEY_BYTES)])
        give_name(made, path)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.is_file():  # another first start's, made in this moment
            return
        raise ConfigError(
            f"The key file {path.absolute()} cannot be made: {error.strerror}.",
            hint="Name a file in a folder of Dockbell's own, on a disk with room, in DOCKBELL_KEY_FILE.",
        ) from error
    finally:
        if made is not None:
            with suppress(OSError):  # it has its name by now, or the disk takes nothing any more
                made.unlink()
    log.warning(
        "vault.key_made", file=str(path), hint="Back it up apart from the database: without it no stored secret opens."
    )


def _warn_if_open_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        log.warning("vault.key_open", file=str(path), mode=oct(mode), hint=f"chmod 600 {path}")


def id_of(key: bytes) -> str:
    return "k" + hashlib.sha256(b"dockbell key id" + key).hexdigest()[:8]
