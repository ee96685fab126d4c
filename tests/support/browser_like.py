"""What a browser does with our pages, without one: keeps cookies, follows redirects, fills in forms."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from dockbell.actions import sessions
from dockbell.store import users
from dockbell.web.parts import Parts
from tests.support.asgi import Api, Reply

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')


class Browser:
    """One visitor. `last` is the newest answer, after redirects; `where` its address; `language` is what it prefers."""

    def __init__(self, app: Any, held: str = "", *, language: str = "") -> None:
        self._api = Api(app)
        self.language = language
        self.cookies = {"dockbell": held} if held else {}
        self.csrf = ""
        self.where = ""
        self.last = Reply(0, {}, b"")

    @property
    def text(self) -> str:
        """The page's source."""
        return self.last.body.decode()

    @property
    def words(self) -> str:
        """What is read on the page: no tags, single spaces."""
        main = self.text.partition("<main")[2] or self.text
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())

    async def get(self, target: str, *, follow: bool = True) -> Reply:
        return await self._ask("GET", target, None, follow)

    async def submit(
        self, target: str, fields: Mapping[str, str] | Iterable[tuple[str, str]] = (), *, follow: bool = True
    ) -> Reply:
        """Post a form with the token of the last page that had one."""
        pairs = list(fields.items() if isinstance(fields, Mapping) else fields)
        if not any(name == "csrf" for name, _ in pairs):
            pairs.append(("csrf", self.csrf))
        return await self._ask("POST", target, urlencode(pairs).encode(), follow)

    async def _ask(self, method: str, target: str, body: bytes | None, follow: bool) -> Reply:
        headers = [("host", "dockbell.test")]
        if self.language:
            headers.append(("accept-language", self.language))
        if self.cookies:
            headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        if body is not None:
            headers.append(("origin", "http://dockbell.test"))
        reply = await self._api.ask(
            method, target, body, headers=headers, content_type="application/x-www-form-urlencoded", authorization=[]
        )
        self.last, self.where = reply, target
        if "set-cookie" in reply.headers:
            name, _, value = reply.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        found = _TOKEN.search(self.text) if reply.headers.get("content-type", "").startswith("text/html") else None
        self.csrf = found[1] if found else self.csrf
        if follow and reply.status == 303:
            return await self._ask("GET", reply.headers["location"], None, follow)
        return reply


def a_browser(
    app: Any, parts: Parts, role: str = "administrator", goods_owners: Iterable[int] | None = None
) -> Browser:
    """A browser of a new user who is signed in already."""
    now = parts.clock.now()
    owners = None if goods_owners is None else json.dumps(sorted(goods_owners))

    def make(tx: Any) -> str:
        number = len(users.everyone(tx)) + 1
        user = users.insert(
            tx, email=f"user{number}@example.com", name=f"User {number}", role=role, goods_owners=owners,
            password_hash=None, now=now,
        )  # fmt: skip
        return sessions.begin(tx, user, address="127.0.0.1", browser="test", now=now)

    return Browser(app, parts.database.submit_write(make).result())
