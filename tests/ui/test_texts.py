"""Every text of the pages in every language: none forgotten, none left over, and the pages show them.

The texts are found in the templates and the code themselves: what stands in `_("...")`, and refusals with a fixed text.
"""

import ast
import html
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2 import nodes

import dockbell
from dockbell import errors
from dockbell.actions import commit, held_back, webhook_file, webhooks
from dockbell.domain import advice, filters, permissions
from dockbell.domain.catalog import load_catalog
from dockbell.store.database import Database, open_database
from dockbell.store.migrate import migrate
from dockbell.warehouse import pages as warehouse_pages
from dockbell.warehouse.demo_data import load_demo
from dockbell.warehouse.pages.noun import Column, Input, Noun, Step, Table
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import PRODUCTION_ORDER, PURCHASE_ORDER, SHIPMENT
from dockbell.web.server import build_app
from dockbell.web.ui.texts import LANGUAGES, language_for, messages_of, texts_of, translator
from dockbell.web.ui.visit import Fields
from dockbell.web.ui.webhook_fields import document_from, typed_in
from tests.support.browser_like import Browser, a_browser
from tests.support.page_addresses import address, all_routes
from tests.support.parts import Server, a_server
from tests.support.rows import TEA
from tests.support.things import Things

PACKAGE = Path(dockbell.__file__).parent
TEMPLATES = [*(PACKAGE / "web/ui/templates").glob("*.html"), *(PACKAGE / "warehouse/templates").glob("*.html")]
CATALOG = load_catalog()
OTHERS = sorted(set(LANGUAGES) - {"en"})
STATUSES = [text for each in (PURCHASE_ORDER, *SHIPMENT.values(), PRODUCTION_ORDER) for text in each.texts.values()]
STATES = ["yes", "no", "inbound", "outbound", "free", "allocated", "picked", "packed", "gone", "OPEN", "CLOSED"]


def of_nouns() -> Iterator[str]:
    """What the descriptions of the warehouse's nouns say to people."""
    for noun in warehouse_pages.NOUNS:
        yield from _of_noun(noun)


def _of_noun(each: Noun | Step | Table | Column | Input) -> Iterator[str]:
    inner: tuple[Any, ...] = ()
    match each:
        case Noun():
            yield from (each.title, each.one, each.about)
            inner = (*each.columns, *each.facts, *each.tables, *each.steps)
            inner += () if each.new is None else (each.new,)
        case Step():
            yield each.word
            inner = each.inputs
        case Table():
            yield each.title
            inner = each.columns
        case Column():
            yield each.label
        case Input():
            yield from (text for text in (each.label, each.hint) if text)
            inner = each.columns
    for one in inner:
        yield from _of_noun(one)


BY_NAME: Mapping[str, Iterable[str]] = {
    "attempt.advice": advice.TEXTS,
    "advice": advice.TEXTS,
    "advice(each.lastCode, None)": advice.TEXTS,
    "said": [*of_nouns(), *(each.text for each in Status), *STATUSES, *STATES],
    "webhook.disabledReason": [webhooks.CLEARED, webhook_file.IMPORTED, commit.GONE],
    "held.reason": held_back.REASONS.values(),
    "held.meaning": held_back.STATES.values(),
    "words": [*filters.IN_WORDS.values(), *permissions.IN_WORDS.values()],
    **dict.fromkeys(("error.message", "error.hint", "each.message", "refused.message", "refused.hint"), ()),
    **dict.fromkeys(("each.reason", "each.objection", "warning", "finding.text", "finding.advice"), ()),
}
"""What `_(name)` may say. Refusals with a fixed text are found where they are raised; the rest are messages."""
REFUSED_IN = [
    *(PACKAGE / "web/ui").glob("*.py"),
    *(PACKAGE / "actions").glob("*.py"),
    PACKAGE / "domain/permissions.py",
]
REFUSALS = {name for name, each in vars(errors).items() if isinstance(each, type)} - {"Problem", "InvalidInput"}
NO_WORDS = {"Dockbell", "UTC", "POST", "MiB", "GET", "api", "v", "orders", "attributes", "data", "TEA", "whk"}
"""Names and signs that are the same in every language."""
BRACED = re.compile(r"\{(\w*)\}")


@cache
def texts() -> dict[str, str]:
    """Every English text, with one of the places where it stands."""
    found: dict[str, str] = {}
    for file in TEMPLATES:
        for text in in_template(file.read_text(encoding="utf-8")):
            found.setdefault(text, file.name)
    for file in [*(PACKAGE / "web").rglob("*.py"), *(PACKAGE / "warehouse/pages").glob("*.py")]:
        for text in in_code(file.read_text(encoding="utf-8")):
            found.setdefault(text, file.name)
    for file in REFUSED_IN:
        for text in refusals(file.read_text(encoding="utf-8")):
            found.setdefault(text, file.name)
    return found


def in_template(source: str) -> Iterator[str]:
    for call in jinja2.Environment().parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "_":
            [said] = call.args
            yield from [said.value] if isinstance(said, nodes.Const) else BY_NAME[_spelled(said)]


def _spelled(node: nodes.Node) -> str:
    """The expression as the template has it, as far as it may stand in `_(...)`."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_spelled(node.node)}.{node.attr}"
    if isinstance(node, nodes.Const):
        return repr(node.value)
    assert isinstance(node, nodes.Call), f"Put {node} into a name first."
    return f"{_spelled(node.node)}({', '.join(map(_spelled, node.args))})"


def in_code(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_":
            [said] = node.args
            yield from [str(said.value)] if isinstance(said, ast.Constant) else BY_NAME[ast.unparse(said)]


def refusals(source: str) -> Iterator[str]:
    """Messages and hints that name no value: those that do stay English, as the API says them."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        said = [each.value for each in node.keywords if each.arg == "hint"]
        if node.func.id in REFUSALS:
            said += node.args[:1]
        elif node.func.id == "Problem":
            said += node.args[2:3]
        yield from (str(each.value) for each in said if isinstance(each, ast.Constant) and each.value)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language):
    missing = [f"{place}: {text!r}" for text, place in texts().items() if text not in texts_of(language)]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over(language):
    left_over = [text for text in texts_of(language) if text not in texts()]
    assert not left_over, "\n".join(left_over)


@cache
def said_anywhere() -> frozenset[str]:
    """Every string of the program, with {} where a value comes in."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return frozenset(found)


def reasons() -> Iterator[str]:
    """Why a webhook did not fire, and what is unwise about its URL: what every user reads."""
    for file, functions in {"actions/events.py": ("_objection",), "domain/target_url.py": ("warnings_for",)}.items():
        for function in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and function.name in functions:
                for node in ast.walk(function):
                    if isinstance(node, ast.JoinedStr):
                        yield "".join(str(x.value) if isinstance(x, ast.Constant) else "{}" for x in node.values)


def blank(message: str) -> str:
    return BRACED.sub("{}", message)


@pytest.mark.parametrize("language", OTHERS)
def test_every_message_of_a_language_is_said_somewhere(language):
    nobody = [message for message in messages_of(language) if blank(message) not in said_anywhere()]
    assert not nobody, "\n".join(nobody)
    too_wide = [message for message in messages_of(language) if not re.search(r"\w{3}", BRACED.sub("", message))]
    assert not too_wide, f"These would be found in anything: {too_wide}"


@pytest.mark.parametrize("language", OTHERS)
def test_every_reason_and_warning_is_translated(language):
    translated = set(map(blank, messages_of(language)))
    wanted = [each for each in reasons() if "{}" in each and " " in each]
    assert len(wanted) >= 7
    assert [each for each in wanted if each not in translated] == []


def findings() -> Iterator[str]:
    """What the doctor says: texts and advice."""
    for node in ast.walk(ast.parse((PACKAGE / "domain/findings.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            for said in node.args[2:]:
                for each in (said.body, said.orelse) if isinstance(said, ast.IfExp) else (said,):
                    yield (
                        "".join(str(x.value) if isinstance(x, ast.Constant) else "{}" for x in each.values)
                        if isinstance(each, ast.JoinedStr)
                        else ast.literal_eval(each)
                    )


@pytest.mark.parametrize("language", OTHERS)
def test_every_finding_of_the_doctor_is_translated(language):
    translated = set(map(blank, messages_of(language)))
    assert len(list(findings())) >= 30
    assert [each for each in findings() if each not in translated] == []


@pytest.mark.parametrize(
    ("english", "swedish"),
    [
        ("it was disabled, since 2026-02-03T12:07:31Z", "den var avstängd, sedan 2026-02-03T12:07:31Z"),
        ("filter “transporter is one of DHL” met Bring", "filtret ”transportören är någon av DHL” mötte Bring"),
        ("filter “status 450 reached” met status 320 to 400",
         "filtret ”status 450 nådd” mötte status 320 till 400"),
        ("filter “status 400 reached or status 200 to 300” met status unknown to 100",
         "filtret ”status 400 nådd eller status 200 till 300” mötte status unknown till 100"),
        ("filter “data.a is {b}” met nothing: the event has no such value",
         "filtret ”data.a is {b}” mötte inget: händelsen har inget sådant värde"),
        ("Goods owner 7 has no article the event's data; make it first.",
         "Varuägare 7 har ingen artikel the event's data; skapa den först."),
        ("Nobody translated this.", "Nobody translated this."),
        ("it was disabled, since " + "x" * 1_000, "it was disabled, since " + "x" * 1_000),
    ],
)  # fmt: skip
def test_a_message_is_known_by_its_words(english, swedish):
    assert translator("sv")(english) == swedish
    assert translator("en")(english) == english


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_fills_in_what_the_english_text_does(language):
    wrong = [
        f"{text!r}: {translated!r}"
        for text, translated in [*texts_of(language).items(), *messages_of(language).items()]
        if sorted(BRACED.findall(text)) != sorted(BRACED.findall(translated)) or not translated.strip()
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_word_of_a_template_stands_outside_of_the_texts(file):
    plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    spoken = " ".join(re.findall(r'\b(?:aria-label|alt|title|placeholder)="([^"]*)"', plain))
    seen = re.sub(r"<[^>]*>", " ", re.sub(r'[\w-]+="[^"]*"|&\w+;', " ", plain))
    words = [word for word in re.findall(r"[A-Za-z]+", f"{seen} {spoken}") if word not in NO_WORDS]
    assert not words, f'Put these into _("..."): {words}'


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    # What the pages say does not depend on the kind of store.
    opened = open_database(f"sqlite:///{tmp_path / 'data.sqlite'}")
    migrate(opened, now=1)
    yield opened
    opened.close()


@asynccontextmanager
async def a_swedish_browser(database: Database, folder: Path) -> AsyncIterator[tuple[Server, Browser]]:
    """An administrator whose browser prefers Swedish, in front of the demo's warehouse."""
    async with a_server(database, folder) as server:
        now = server.parts.clock.now()
        await database.write(lambda tx: load_demo(tx, server.parts.publisher, now))
        server.parts = replace(server.parts, warehouse=True)
        server.app = build_app(server.parts, more_pages=[warehouse_pages.routes])
        browser = a_browser(server.app, server.parts)
        browser.language = "sv-SE,sv;q=0.9,en;q=0.8"
        yield server, browser


def english_in(browser: Browser) -> list[str]:
    """Texts of the page, also those of its attributes, that stand there in English though there are Swedish ones."""
    source = " ".join(html.unescape(browser.text).split())
    for each in CATALOG:
        source = source.replace(each.name, "")  # names, the same in every language
    swedish = texts_of("sv")
    families = {each.family for each in CATALOG}  # names too
    telling = [text for text in swedish if " " in text and len(text) > 6 and "{" not in text and text not in families]
    said = [text for text in telling if text != swedish[text] and text in source]
    return [text for text in said if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", source)]


async def test_every_page_is_in_swedish_for_who_prefers_it(tmp_path, database):
    async with a_swedish_browser(database, tmp_path) as (server, browser):
        things = await Things(server).of(TEA, fresh=False)
        await server.admin.post(f"/api/v1/webhooks/{things['webhook']}/testEvent", {})
        signed_out = Browser(server.app, language="sv")
        wrong, pages = [], 0
        places = [address(route, things) for route in all_routes() if route.method == "GET"]
        for place in [*places, "/administration/webhooks/new?eventType=order.status-changed", "/no-such-page"]:
            at = signed_out if place.startswith("/sign-in") else browser
            await at.get(place)
            if "<main" not in at.text:
                continue  # a file to save, or a piece of a page
            pages += 1
            if '<html lang="sv">' not in at.text:
                wrong.append(f"{place} is not marked as Swedish")
            wrong += [f"{place} says in English: {text!r}" for text in english_in(at)]
        assert not wrong, "\n".join(wrong)
        assert pages > 25


async def test_the_list_of_webhooks_speaks_english_or_swedish(tmp_path, database):
    async with a_swedish_browser(database, tmp_path) as (server, browser):
        await server.make_webhook(name="ERP")
        await browser.get("/administration/webhooks")
        assert "Skapa ny vanlig webhook" in browser.words
        assert "inga utskick än" in browser.words
        browser.language = "en-GB"
        await browser.get("/administration/webhooks")
        assert '<html lang="en">' in browser.text
        assert "Create new regular webhook" in english_in(browser)


async def test_the_language_of_the_account_comes_before_the_browsers(tmp_path, database):
    async with a_swedish_browser(database, tmp_path) as (_, browser):
        browser.language = "en"
        await browser.get("/account")
        await browser.submit("/account", {"name": "Sven", "language": "sv"})
        assert '<html lang="sv">' in browser.text
        assert "Sparat." in browser.words


async def test_refusals_with_a_fixed_text_are_translated(tmp_path, database):
    async with a_swedish_browser(database, tmp_path) as (server, browser):
        signed_out = Browser(server.app, language="sv")
        for _ in range(6):
            await signed_out.submit("/sign-in", {"email": "who@example.com", "password": "not-the-right-one"})
            if signed_out.last.status == 429:
                break
            assert "E-postadressen eller lösenordet är fel." in signed_out.words
        assert "För många försök att logga in. Försök igen om" in signed_out.words
        await browser.get("/administration/goods-owners")
        await browser.submit("/administration/goods-owners", {"id": "9", "name": ""})
        assert "Namnet måste ha 1 till 200 synliga tecken." in browser.words
        await browser.submit("/account", {"csrf": "0" * 64})
        assert "Formuläret gjordes i en annan session. Gå tillbaka" in browser.words


@pytest.mark.parametrize(
    ("chosen", "preferred", "language"),
    [
        (None, "", "en"),
        (None, "sv-SE,sv;q=0.9,en;q=0.8", "sv"),
        (None, "da, SV;q=0.8", "sv"),
        (None, "en-GB,sv", "en"),
        (None, "xx,,;q=1", "en"),
        ("sv", "en", "sv"),
        ("en", "sv", "en"),
        ("xx", "sv", "sv"),
    ],
)
def test_the_language_is_ones_own_choice_or_the_first_the_browser_prefers(chosen, preferred, language):
    assert language_for(chosen, preferred) == language


@pytest.mark.parametrize(("said", "wanted"), [("yes", True), ("ja", True), ("no", False), ("Nej", False), ("0", False)])
def test_whether_a_field_exists_is_said_in_any_language(said, wanted):
    form = Fields([("conditionField", "data.a"), ("conditionOperator", "exists"), ("conditionValue", said)])
    [condition] = document_from(typed_in(form), "regular", None)["filters"]["conditions"]
    assert condition["value"] is wanted
