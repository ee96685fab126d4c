"""Files that are attached to orders, purchase orders, shipments and articles."""

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction


def lock_by_name(tx: Transaction, noun: str, object_id: int, name: str) -> Row | None:
    """Nobody else replaces or deletes it before the commit."""
    return tx.one(
        """
        SELECT f.* FROM wms_files f WHERE f.noun = :noun AND f.object_id = :object_id AND f.name = :name /*pg FOR UPDATE */
        """,
        noun=noun, object_id=object_id, name=name,
    )  # fmt: skip


def insert(
    tx: Transaction, file_id: int, goods_owner_id: int, noun: str, object_id: int, name: str, mime_type: str,
    content: str, *, now: Moment,
) -> None:  # fmt: skip
    tx.run(
        """
        INSERT INTO wms_files (id, goods_owner_id, noun, object_id, name, mime_type, content, created_at)
        VALUES (:id, :goods_owner_id, :noun, :object_id, :name, :mime_type, :content, :now)
        """,
        id=file_id, goods_owner_id=goods_owner_id, noun=noun, object_id=object_id, name=name, mime_type=mime_type,
        content=content, now=now,
    )  # fmt: skip


def change(tx: Transaction, file_id: int, mime_type: str, content: str, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_files SET mime_type = :mime_type, content = :content, created_at = :now WHERE id = :id",
        id=file_id, mime_type=mime_type, content=content, now=now,
    )  # fmt: skip


def delete(tx: Transaction, file_id: int) -> None:
    tx.run("DELETE FROM wms_files WHERE id = :id", id=file_id)


def files_of(tx: Transaction, noun: str, object_id: int) -> list[Row]:
    return tx.all(
        "SELECT f.* FROM wms_files f WHERE f.noun = :noun AND f.object_id = :object_id ORDER BY f.id",
        noun=noun, object_id=object_id,
    )  # fmt: skip
