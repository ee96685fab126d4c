"""Secrets that receivers send back do not reach the log, whatever form they have, and looking for them stays cheap."""

import json
import re
from html import escape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.delivery.attempt import _begun_at_the_end, masked
from dockbell.domain.webhook import MASK, secret_texts

TOKEN = "kY7/abc/def+ghi&klm<no>'pq'=="


def forms(token: str) -> tuple[str, ...]:
    settings: dict[str, Any] = {"authentication": {"type": "token"}}
    return secret_texts(settings, {"token": token})


@pytest.mark.parametrize(
    "sent_back",
    [
        TOKEN,
        json.dumps(TOKEN),
        json.dumps(TOKEN).replace("/", "\\/"),
        '"kY7/abc/def\\u002Bghi\\u0026klm\\u003Cno\\u003E\\u0027pq\\u0027=="',
        escape(TOKEN),
        "kY7/abc/def+ghi&amp;klm&lt;no&gt;&#39;pq&#39;==",
    ],
    ids=["plain", "json", "php", ".net", "html", "html with decimals"],
)
def test_a_secret_in_the_spelling_of_a_usual_framework_is_masked(sent_back: str):
    shown = masked(f'{{"X-Auth-Token": {sent_back}}}', forms(TOKEN), cut=False)
    assert "abc" not in shown
    assert MASK in shown


@given(st.text("ab", max_size=40), st.text("ab", min_size=6, max_size=20))
def test_what_is_found_at_the_end_is_the_longest_beginning_of_the_secret(text: str, secret: str):
    longest = max((n for n in range(len(secret)) if n <= len(text) and text.endswith(secret[:n])), default=0)
    found = _begun_at_the_end(text, secret)
    assert found == longest or (longest < 6 and found < 6), "what is shorter than six is not looked for"


@given(st.text("abAB\u0130", max_size=60), st.text("abAB", min_size=6, max_size=8))
def test_every_occurrence_is_masked_in_whatever_case_and_nothing_else(text: str, secret: str):
    assert masked(text, (secret,), cut=False) == re.sub(secret, lambda _: MASK, text, flags=re.IGNORECASE | re.ASCII)


def test_a_body_made_to_be_slow_to_look_through_is_not():
    """A pattern that ignores case took a second for each of these; the node's one thread waited."""
    secrets = tuple("a" * (3_900 + number) + "b" for number in range(100))
    text = "a" * 60_000 + secrets[0].upper()
    assert masked(text, secrets, cut=False) == "a" * 60_000 + MASK


def test_a_long_secret_of_one_character_is_found_by_its_beginning():
    secret = '"' * 4_000 + "a"
    text = '"' * 3_999 + "b"
    assert _begun_at_the_end(text, secret) == 0
    assert masked('"' * 3_999, (secret,), cut=True) == MASK
