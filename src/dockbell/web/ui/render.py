"""Templates to HTML: everything that comes from outside is escaped, and nothing but our own files is loaded."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup
from starlette.responses import Response

from dockbell.clock import Moment, to_text
from dockbell.web.ui.texts import translator

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def html(template: str, language: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
    text = environment().get_template(template).render(language=language, _=translator(language), **values)
    return Response(text, status, PAGE_HEADERS, media_type="text/html")


@cache
def environment() -> jinja2.Environment:
    """Also templates of other packages, as `warehouse/orders.html`, may extend `base.html`."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("dockbell.web.ui"),
                jinja2.PrefixLoader({"warehouse": jinja2.PackageLoader("dockbell.warehouse")}),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(moment=moment, laid_out=laid_out, milliseconds=milliseconds)
    made.globals.update(asset=asset, with_query=with_query)
    return made


DEEPEST_LAID_OUT = 32
"""Deeper JSON is shown as it came: indented it would be hundreds of times as long."""
_BRACKETS = re.compile(r"[\[\]{}]")


def moment(at: str | Moment | None) -> Markup | str:
    """A time: in UTC without JavaScript, in the viewer's zone with it, the exact one on hover."""
    if at is None:
        return "–"
    text = to_text(at) if isinstance(at, int) else at
    return Markup('<time datetime="{0}" title="{0}">{1} UTC</time>').format(text, text[:19].replace("T", " "))


def laid_out(value: object) -> str:
    """JSON as one reads it; text that is no JSON stays as it is."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        try:
            document = json.loads(value) if _depth(value) <= DEEPEST_LAID_OUT else value
        except (ValueError, RecursionError):
            document = value
        if document is value:
            return _showable(value)
        value = document
    return _showable(json.dumps(value, indent=2, ensure_ascii=False))


def _depth(text: str) -> int:
    """How deep its brackets go, at least: those in strings count too."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _showable(text: str) -> str:
    """Half surrogate pairs, which JSON can name, are no characters that a page can hold."""
    return text.encode("utf-8", "replace").decode()


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def with_query(path: str, **values: object) -> str:
    """The path with those of the values that say something."""
    given = {name: value for name, value in values.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes when the file does, so that browsers may keep it for ever."""
    return f"/static/{hashlib.sha256(static_file(name)).hexdigest()[:12]}/{name}"


@cache
def static_file(name: str) -> bytes:
    """Raises FileNotFoundError for what is not there."""
    folder = resources.files("dockbell.web.ui") / "static"
    if name not in {entry.name for entry in folder.iterdir()}:
        raise FileNotFoundError(name)
    return (folder / name).read_bytes()
