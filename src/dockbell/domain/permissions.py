"""Who is acting, and what that actor may do for which goods owners."""

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


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who does something: an API key or the system itself."""

    id: str
    label: str
    scopes: frozenset[str]
    goods_owners: frozenset[int] | None
    """None: all of them."""

    def may(self, scope: Scope) -> bool:
        return "admin" in self.scopes or scope in self.scopes

    def need(self, scope: Scope) -> None:
        if not self.may(scope):
            raise NotAllowed(
                f"This key may not {IN_WORDS[scope]}; it lacks the scope {scope!r}.",
                hint="Ask an administrator for a key with that scope.",
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
            raise NotAllowed("This key is limited to its goods owners; this needs a key for all of them.")


def no_such_goods_owner(goods_owner_id: int) -> NotFound:
    return NotFound(
        f"There is no goods owner {goods_owner_id}.", code="goods_owner", hint="GET /api/v1/goodsOwners lists them."
    )


SYSTEM = Actor("system", "Dockbell itself", frozenset({"admin"}), None)
