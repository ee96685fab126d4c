"""Finding events by the object they are about, as people write it: `order/50163`, `order SO-1001`, or just `SO-1001`.

Arms of a UNION and not OR: with OR neither database would use the indexes of keys and of numbers.
"""

from dataclasses import dataclass
from typing import Any

_BY_TEXT = """SELECT k.id FROM events k WHERE k.object_key = :object_text
              UNION SELECT n.id FROM events n WHERE n.object_number = :object_text"""
_BY_KIND = """
              UNION SELECT k.id FROM events k WHERE k.object_key = :object_kind || '/' || :object_number
              UNION SELECT n.id FROM events n WHERE n.object_number = :object_number
                       AND substr(n.object_key, 1, length(:object_kind) + 1) = :object_kind || '/'"""


@dataclass(frozen=True, slots=True)
class Sought:
    """An object: the text is its key or its number, or it has a kind and a number (or the rest of a key) in it."""

    text: str
    kind: str | None = None
    number: str = ""

    def names(self, key: str | None, number: str | None) -> bool:
        """Whether it is the object with this key and number; as `event_ids`, for what is in memory."""
        if self.text in (key, number):
            return True
        if self.kind is None or key is None:
            return False
        return key == f"{self.kind}/{self.number}" or (number == self.number and key.startswith(f"{self.kind}/"))

    def event_ids(self) -> tuple[str, dict[str, Any]]:
        """A SELECT of the ids of its events, and the parameters. The statement is made of constants of this file."""
        if self.kind is None:
            return _BY_TEXT, {"object_text": self.text}
        return _BY_TEXT + _BY_KIND, {
            "object_text": self.text, "object_kind": self.kind, "object_number": self.number,
        }  # fmt: skip
