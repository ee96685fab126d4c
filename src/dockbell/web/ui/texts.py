"""The pages' texts in other languages. The English text is its own key; `texts/<language>.toml` has the others.

    [texts]                          # what pages say themselves
    "Create new regular webhook" = "Skapa ny vanlig webhook"

    [messages]                       # what rules and refusals say, with their values in them
    "it was disabled, since {when}" = "den var avstängd, sedan {when}"

A text that has no translation is shown in English. `{name}` in a text is filled in by whoever shows it; in a message it
is whatever stands there, and `{NAME}` is a message in the message. So messages are known by their words, and those who
say them need not know of languages.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

LANGUAGES: Mapping[str, str] = {"en": "English", "sv": "Svenska"}
LONGEST_MESSAGE = 1_000
"""Longer ones hold a value that nobody reads; they stay as they are."""
Translate = Callable[..., str]


def texts_of(language: str) -> Mapping[str, str]:
    return _tables(language)["texts"]


def messages_of(language: str) -> Mapping[str, str]:
    return _tables(language)["messages"]


@cache
def _tables(language: str) -> Mapping[str, Mapping[str, str]]:
    if language == "en":
        return {"texts": {}, "messages": {}}
    return tomllib.loads((resources.files("dockbell.web.ui") / "texts" / f"{language}.toml").read_text("utf-8"))


def translator(language: str) -> Translate:
    """`_("{n} deliveries wait.", n=3)` in this language; without values also a message, as `_(problem.message)`."""
    texts = texts_of(language)

    def translate(text: str, **values: object) -> str:
        if values:
            return texts.get(text, text).format(**values)
        return texts[text] if text in texts else _told(text, language)

    return translate


def _told(message: str, language: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        for pattern, shown in _patterns(language):
            if found := pattern.fullmatch(message):
                values = found.groupdict()
                # The message within is shorter, so this ends.
                return shown.format(
                    **{name: _told(value, language) if name.isupper() else value for name, value in values.items()}
                )
    return message


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(message)), re.DOTALL), shown)
        for message, shown in messages_of(language).items()
    ]


def language_for(chosen: str | None, accept_language: str) -> str:
    """The user's own choice, else the first language of the browser's list that there is, else English."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    for part in accept_language.split(",")[:20]:
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"
