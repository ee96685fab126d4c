"""The pages' texts in other languages. The English text is its own key; `texts/<language>.toml` has the others.

    [texts]
    "Create new regular webhook" = "Skapa ny vanlig webhook"

A text that has no translation is shown in English. `{name}` in a text is filled in by whoever shows it.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

LANGUAGES: Mapping[str, str] = {"en": "English", "sv": "Svenska"}
Translate = Callable[..., str]


@cache
def texts_of(language: str) -> Mapping[str, str]:
    if language == "en":
        return {}
    text = (resources.files("dockbell.web.ui") / "texts" / f"{language}.toml").read_text("utf-8")
    found: Mapping[str, str] = tomllib.loads(text)["texts"]
    return found


def translator(language: str) -> Translate:
    """`_("{n} deliveries wait.", n=3)` in this language."""
    texts = texts_of(language)

    def translate(text: str, **values: object) -> str:
        shown = texts.get(text, text)
        return shown.format(**values) if values else shown

    return translate


def language_for(chosen: str | None, accept_language: str) -> str:
    """The user's own choice, else the first language of the browser's list that there is, else English."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    for part in accept_language.split(",")[:20]:
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"
