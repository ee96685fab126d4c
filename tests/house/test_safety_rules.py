"""Rules for the sake of safety, read off the source: each recogniser is shown what it must find and what it must let be."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dockbell"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = sorted(PACKAGE.rglob("*.html"))
OPENS = {
    "socket",
    "create_connection",
    "open_connection",
    "urlopen",
    "urlretrieve",
    "HTTPConnection",
    "HTTPSConnection",
    "SMTP",
}
MAY_OPEN = ("egress/", "testing/", "demo.py", "web/listen.py")
"""The last but one looks for a free port, the last takes the address that publishers connect to."""
SECRET = re.compile(r"(^|_)(secret|token|csrf|password|digest|signature|cookie)$")
FLOORS = {
    "apsw": ((3, 51, 3), "an earlier SQLite can lose commits when its log starts over"),
    "cryptography": ((44, 0, 1), "CVE-2024-12797"),
    "h11": ((0, 16), "CVE-2025-43859: request smuggling"),
    "idna": ((3, 7), "CVE-2024-3651: quadratic time"),
    "jinja2": ((3, 1, 6), "CVE-2025-27516: out of the sandbox"),
    "starlette": ((0, 49, 1), "CVE-2025-62727: quadratic time"),
}
Found = Iterator[int]


def opened(tree: ast.AST) -> Found:
    """Calls that open a connection; to take one that is open already by its number is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not any(word.arg == "fileno" for word in node.keywords):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in OPENS:
                yield node.lineno


def compared(tree: ast.AST) -> Found:
    """Secrets compared by == or !=, whose time tells how much of them was right."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue  # with a text of our own: whether there is one, or which of ours it is
        if any(SECRET.search(_name(side)) for side in sides):
            yield node.lineno


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case _:
            return ""


def unverified(tree: ast.AST) -> Found:
    """TLS without looking at the certificate, in the words of any library."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="verify" | "ssl" | "check_hostname", value=ast.Constant(value=False)):
                yield node.value.lineno
            case ast.Attribute(attr="CERT_NONE" | "_create_unverified_context"):
                yield node.lineno
            case ast.Call(args=[ast.Attribute(attr="SSL_VERIFYPEER" | "SSL_VERIFYHOST"), ast.Constant(value=0 | 1)]):
                yield node.lineno
            case _:
                pass


def slept(tree: ast.AST) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            yield node.lineno


def trusted(tree: ast.AST) -> Found:
    """Markup made of anything but a text of our own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "Markup" and not isinstance(node.args[0], ast.Constant):
            yield node.lineno


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (opened, "socket.socket()", "socket.gethostname()"),
        (opened, "socket.socket(family)", "socket.socket(fileno=3)"),
        (opened, "asyncio.open_connection(h, p)", "database.open()"),
        (opened, "urlopen(u)", "sender.submit(u)"),
        (compared, "row['digest'] == given", "row['digest'] is None"),
        (compared, "visit.csrf != form.csrf", "hmac.compare_digest(a, b)"),
        (compared, "x == api_token", "kind == 'token'"),
        (unverified, "get(u, verify=False)", "get(u, verify=True)"),
        (unverified, "context.verify_mode = ssl.CERT_NONE", "context.verify_mode = ssl.CERT_REQUIRED"),
        (unverified, "c.setopt(pycurl.SSL_VERIFYPEER, 0)", "c.setopt(pycurl.SSL_VERIFYHOST, 2)"),
        (slept, "time.sleep(1)", "clock.sleep(1)"),
        (trusted, "Markup(name)", "Markup('<b>{}</b>').format(name)"),
        (trusted, "Markup(f'<b>{name}</b>')", "escape(name)"),
    ],
)
def test_a_rule_finds_what_it_must_and_lets_the_rest_be(rule: Callable[[ast.AST], Found], bad: str, good: str) -> None:
    assert list(rule(ast.parse(bad))) == [1]
    assert list(rule(ast.parse(good))) == []


def broken(rule: Callable[[ast.AST], Found], files: list[Path]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{line}" for file in files for line in rule(ast.parse(file.read_bytes()))]


def test_e8_only_egress_opens_connections() -> None:
    others = [file for file in SOURCES if not file.relative_to(PACKAGE).as_posix().startswith(MAY_OPEN)]
    assert broken(opened, others) == []
    assert broken(opened, SOURCES), "the rule finds nothing, not even where connections are opened"


def test_u6_no_secret_is_compared_by_equality() -> None:
    assert broken(compared, SOURCES) == []


def test_h6_no_certificate_goes_unlooked_at() -> None:
    product = [file for file in SOURCES if "testing" not in file.parts]
    assert broken(unverified, product) == []


def test_r9_nothing_sleeps_by_the_clock_of_the_machine() -> None:
    assert broken(slept, SOURCES) == []


def test_u4_no_page_trusts_what_it_shows() -> None:
    assert broken(trusted, SOURCES) == []
    trusting = re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE)
    assert trusting.search("{{ x | safe }}")
    assert [file.name for file in TEMPLATES if trusting.search(file.read_text("utf-8"))] == []


def test_u8_text_that_is_put_into_sql_says_where_it_comes_from() -> None:
    """Ruff's S608 finds SQL put together from parts; letting one be needs a word why."""
    let_be = re.compile(r"#\s*noqa:[^-]*\bS608\b(?P<why>.*)")
    marks = [
        (f"{file.relative_to(ROOT)}:{number}", match["why"])
        for file in SOURCES
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if (match := let_be.search(line))
    ]
    assert marks
    assert [where for where, why in marks if len(why.strip(" -")) < 5] == []


def test_u15_no_dependency_is_older_than_its_last_known_hole() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        found = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / name).read_text(), flags=re.MULTILINE))
        old = [
            f"{package} {found[package]} in {name}: {why}"
            for package, (floor, why) in FLOORS.items()
            if package in found and tuple(map(int, found[package].strip(".").split("."))) < floor
        ]
        assert not old, "run `make lock ARGS=--upgrade`: " + "; ".join(old)
        assert {"apsw", "cryptography", "jinja2", "starlette"} <= set(found)
