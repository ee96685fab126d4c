"""Sealing secrets: AES-256-GCM, bound to the row and field they belong to.

A sealed text names its key, so that keys can be changed one by one. The place it was sealed for is part
of the seal: moved to another row, it does not open. The key lies in a file of its own, never in the database.
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dockbell.errors import ConfigError
from dockbell.store.database import Database, Transaction

log = structlog.get_logger()
NONCE_BYTES = 12
KEY_BYTES = 32


class Vault:
    """Opens with any of its keys, seals with the first."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(f"A secrets key must have {KEY_BYTES} bytes, written as 44 characters of base64.")
        self._keys = {_id_of(key): AESGCM(key) for key in keys}
        self._newest = _id_of(keys[0])
        self._fingerprint_key = hmac.digest(keys[0], b"dockbell fingerprint", "sha256")

    def seal(self, text: str, *, place: str) -> str:
        """`place` names table, row and field, such as `webhooks/12/secrets`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, text.encode(), place.encode())
        return f"{self._newest}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, place: str) -> str:
        key_id, _, packed = sealed.partition(":")
        cipher = self._keys.get(key_id)
        if cipher is None:
            raise ConfigError(f"{place} was sealed with key {key_id}, which is not in the key file.")
        raw = base64.b64decode(packed, validate=True)
        try:
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()).decode()
        except InvalidTag as error:
            raise ConfigError(f"{place} does not open: it was changed, or belongs to another row.") from error

    def fingerprint(self, secret: str) -> str:
        """Eight hex digits that tell two secrets apart and say nothing about either."""
        return hmac.digest(self._fingerprint_key, secret.encode(), "sha256").hex()[:8]

    def check(self, tx: Transaction) -> None:
        """Refuse to start with a key that is not this database's; remember it in a database without one."""
        rows = tx.all("SELECT key_id, sealed FROM vault_checks")
        for row in rows:
            self.open(row["sealed"], place=f"vault_checks/{row['key_id']}")
        if self._newest not in {row["key_id"] for row in rows}:
            tx.run(
                "INSERT INTO vault_checks (key_id, sealed) VALUES (:key_id, :sealed)",
                key_id=self._newest,
                sealed=self.seal("dockbell", place=f"vault_checks/{self._newest}"),
            )


def open_vault(path: Path, database: Database) -> Vault:
    """The key ring in `path`, one base64 key a line, the newest first; made on the first start."""
    if not path.exists():
        has_secrets = database.submit_read(lambda tx: tx.one("SELECT key_id FROM vault_checks LIMIT 1")).result()
        if has_secrets is not None:
            raise ConfigError(
                f"The key file {path} is missing, and the database holds secrets sealed with key "
                f"{has_secrets['key_id']}. Put the file back from your backup, or name it in DOCKBELL_KEY_FILE.",
            )
        _make_key_file(path)
    _warn_if_open_to_others(path)
    try:
        keys = [base64.b64decode(line, validate=True) for line in path.read_text("ascii").split()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"The key file {path} cannot be read: {error}") from error
    vault = Vault(keys)
    database.submit_write(vault.check).result()
    return vault


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    log.warning(
        "vault.key_made", file=str(path), hint="Back it up apart from the database: without it no stored secret opens."
    )


def _warn_if_open_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        log.warning("vault.key_open", file=str(path), mode=oct(mode), hint=f"chmod 600 {path}")


def _id_of(key: bytes) -> str:
    return "k" + hashlib.sha256(b"dockbell key id" + key).hexdigest()[:8]
