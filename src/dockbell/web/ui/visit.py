"""One visit of one page: who is looking, what the form said, and how to answer.

Routes name what a visitor needs; a page is only called for visitors who have it. Every form that changes
something carries the session's token back, and comes from a page of ours.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dockbell.actions.sessions import SignedIn
from dockbell.domain.permissions import Actor, Scope
from dockbell.errors import InvalidInput, Malformed, NotAllowed, NotSignedIn, Problem, TooLarge, WrongMediaType
from dockbell.web.actor import address_of
from dockbell.web.body import length_of, read_body
from dockbell.web.inputs import number_in
from dockbell.web.parts import Parts
from dockbell.web.ui import render
from dockbell.web.ui.texts import translator

MOST_FIELDS = 5_000


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")


def zoned(text: str) -> str | None:
    """A time of a form, which has no zone, in UTC; the page's script writes the viewer's time so. Other text stays."""
    if _TIME.fullmatch(text):
        return text + ("Z" if len(text) > len("2026-02-03T12:07") else ":00Z")
    return text or None


class Fields(Mapping[str, str]):
    """What a form or a query said. A name may stand several times: `all` gives each, `[name]` the last."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.pairs = tuple(pairs)
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def text(self, name: str) -> str:
        """Without the spaces around it; empty when it was not said."""
        return self._last.get(name, "").strip()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def number(self, name: str) -> int | None:
        """None when it was not said, or is no number."""
        return number_in(self.text(name))

    def numbers(self, name: str) -> list[int]:
        """Of what was ticked; what is no number was not offered."""
        return [number for number in map(number_in, self.all(name)) if number is not None]


@dataclass
class Visit:
    parts: Parts
    request: Request
    signed_in: SignedIn | None
    language: str
    query: Fields
    form: Fields = field(default_factory=Fields)

    @property
    def who(self) -> SignedIn:
        if self.signed_in is None:
            raise NotSignedIn("Sign in first.")
        return self.signed_in

    @property
    def actor(self) -> Actor:
        return self.who.actor

    @property
    def address(self) -> str:
        """Where the visitor is; behind a proxy, where the proxy says."""
        return address_of(self.request, behind_proxy=self.parts.secure)

    @property
    def browser(self) -> str:
        return self.request.headers.get("user-agent", "")[:200]

    @property
    def origin(self) -> str:
        """This server as the visitor's browser names it, for links to send."""
        return f"{'https' if self.parts.secure else 'http'}://{self.request.headers.get('host', 'localhost')}"

    @property
    def path(self) -> Mapping[str, str]:
        """The variables of the route's path."""
        return self.request.path_params

    def _(self, text: str, **values: object) -> str:
        """The text in the visitor's language."""
        return translator(self.language)(text, **values)

    def page(self, template: str, *, status: int = 200, problems: Sequence[Problem] = (), **values: Any) -> Response:
        """The template with what every page shows, `values`, and the problems of a form by field."""
        problems = [Problem(each.field, each.code, self._(each.message)) for each in problems]
        by_field: dict[str, list[Problem]] = {}
        for problem in problems:
            by_field.setdefault(problem.field, []).append(problem)
        shared = {
            "signed_in": self.signed_in,
            "csrf": self.signed_in.csrf if self.signed_in is not None else "",
            "here": self.request.url.path,
            "asked": self.query,
            "notice": self.query.text("notice"),
            "system": self.parts.system,
            "warehouse": self.parts.warehouse,
            "problems": problems,
            "problems_of": by_field,
        }
        return render.html(template, self.language, {**shared, **values}, status=status)

    def go(self, path: str, **query: object) -> Response:
        """On to another page; `notice` names one of the notices in notices.html."""
        return RedirectResponse(render.with_query(path, **query), 303, render.PAGE_HEADERS)


Page = Callable[[Visit], Awaitable[Response]]
Need = Scope | Literal["nothing", "signed-in", "everyone"]
"""What a visitor must have: a scope; "everyone": administrators for all goods owners; "nothing": no sign-in."""


@dataclass(frozen=True, slots=True)
class Route:
    method: Literal["GET", "POST"]
    path: str
    need: Need
    page: Page


class Routes(list[Route]):
    """The routes of one module of pages; a test walks them all."""

    def get(self, path: str, *, need: Need) -> Callable[[Page], Page]:
        return self._add("GET", path, need)

    def post(self, path: str, *, need: Need) -> Callable[[Page], Page]:
        return self._add("POST", path, need)

    def _add(self, method: Literal["GET", "POST"], path: str, need: Need) -> Callable[[Page], Page]:
        def add(page: Page) -> Page:
            self.append(Route(method, path, need, page))
            return page

        return add


def judge(visit: Visit, route: Route) -> None:
    """Raises NotSignedIn or NotAllowed unless this visitor may be here, with this form."""
    if route.method == "POST":
        _need_own_page(visit.request)
    if route.need == "nothing":
        return
    actor = visit.actor
    if route.method == "POST" and not hmac.compare_digest(visit.form.text("csrf").encode(), visit.who.csrf.encode()):
        raise NotAllowed(
            "The form was made by another session.", code="csrf", hint="Go back, load the page again, and repeat it."
        )
    if route.need == "everyone":
        actor.need_everyone()
    elif route.need != "signed-in":
        actor.need(route.need)


def _need_own_page(request: Request) -> None:
    """A form must come from a page of this server: browsers say so, and anything else is refused."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if origin is not None and origin != "null":
        foreign = foreign or _host_in(origin) != request.headers.get("host", "")
    elif origin == "null" and site != "same-origin":
        foreign = True
    if foreign:
        raise NotAllowed("The form came from another site.", code="csrf", hint="Use the pages of this server.")


def _host_in(origin: str) -> str | None:
    """None when the origin is none, such as http://[ is."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def read_form(request: Request) -> Fields:
    """The form of a POST; raises WrongMediaType, TooLarge, Malformed or InvalidInput."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    announced = length_of(request.scope)
    if content_type != "application/x-www-form-urlencoded" and announced != 0:
        raise WrongMediaType("A form must be application/x-www-form-urlencoded.")
    try:
        raw = await read_body(request.receive, announced)
    except TooLarge as error:
        raise TooLarge(error.message, hint="Go back. If it is a file of many webhooks, import it in parts.") from error
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"The form cannot be read: {error}.", code="form") from error
    if any("\x00" in name or "\x00" in value for name, value in pairs):
        raise InvalidInput([Problem("", "control_character", "NUL characters are not allowed.")])
    return Fields([(name, value.replace("\r\n", "\n")) for name, value in pairs])
