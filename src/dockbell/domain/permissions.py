"""Who is acting, and what that actor may do for which goods owners."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dockbell.errors import NotAllowed, NotFound

Scope = Literal["publish", "read", "manage", "admin"]
SCOPES: tuple[Scope, ...] = ("publish", "read", "manage", "admin")
IN_WORDS = {
    "publish": "publish events",
    "read": "read webhooks, events and logs",
    "manage": "make and change webhooks, resend and cancel",
    "admin": "do everything, also make keys, goods owners and automation webhooks",
}

Role = Literal["administrator", "warehouse", "goods-owner"]
SCOPES_OF_ROLE: Mapping[str, frozenset[str]] = {
    "administrator": frozenset({"admin"}),
    "warehouse": frozenset({"publish", "read"}),
    "goods-owner": frozenset({"read", "manage"}),
}
"""What a user may do. A goods owner's user is limited to its goods owners, the others are not."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who does something: an API key, a user or the system itself."""

    id: str
    label: str
    scopes: frozenset[str]
    goods_owners: frozenset[int] | None
    """None: all of them."""
    kind: Literal["key", "user", "system"] = "key"
    address: str = ""
    """Where the request came from; the audit trail keeps it."""

    def may(self, scope: Scope) -> bool:
        return "admin" in self.scopes or scope in self.scopes

    def need(self, scope: Scope) -> None:
        if self.may(scope):
            return
        if self.kind == "user":
            text = "This is for administrators." if scope == "admin" else f"Your role may not {IN_WORDS[scope]}."
            raise NotAllowed(text, hint="Ask an administrator.")
        raise NotAllowed(
            f"This key may not {IN_WORDS[scope]}; it lacks the scope {scope!r}.",
            hint="Ask an administrator for that scope.",
        )

    def sees(self, goods_owner_id: int) -> bool:
        return self.goods_owners is None or goods_owner_id in self.goods_owners

    def need_goods_owner(self, goods_owner_id: int) -> None:
        """Another's goods owner answers as one that does not exist."""
        if not self.sees(goods_owner_id):
            raise no_such_goods_owner(goods_owner_id)

    def need_everyone(self) -> None:
        """For what concerns all goods owners: keys, types, automation webhooks."""
        self.need("admin")
        if self.goods_owners is not None:
            this = "Your user" if self.kind == "user" else "This key"
            raise NotAllowed(f"{this} is limited to its goods owners; this needs one for all of them.")


def no_such_goods_owner(goods_owner_id: int) -> NotFound:
    return NotFound(
        f"There is no goods owner {goods_owner_id}.",
        code="goods_owner",
        hint="Or none that this key or user is for. GET /api/v1/goodsOwners lists them to whoever may read.",
    )


SYSTEM = Actor("system", "Dockbell itself", frozenset({"admin"}), None, "system")
