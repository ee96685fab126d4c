"""Credentials as they are entered: what Basic authentication, a token, a signing secret, an e-mail address and a
password may look like. No message here repeats a secret.
"""

import base64
import binascii
import re
import unicodedata

from dockbell.domain.headers import problem_with_value
from dockbell.errors import InvalidInput, Problem

LONGEST_BASIC_BYTES = 1024
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public marker of Standard Webhooks, not a secret
NEW_SECRET_BYTES = 32
SHORTEST_SECRET_BYTES = 24
LONGEST_SECRET_BYTES = 64
SHORTEST_PASSWORD_BYTES = 12
LONGEST_PASSWORD_BYTES = 1024

_EMAIL = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
)


def problems_with_basic(username: str, password: str, field: str = "authentication") -> list[Problem]:
    """RFC 7617: both may be empty and hold any Unicode text but controls; a colon would end the user name."""
    problems: list[Problem] = []
    for name, text in (("username", username), ("password", password)):
        problems += _problems_with_plain_text(text, f"{field}.{name}")
    if ":" in username:
        message = "A user name cannot hold a colon: the receiver would take the rest for the password."
        problems.append(Problem(f"{field}.username", "basic_username_colon", message))
    return problems


def _problems_with_plain_text(text: str, field: str) -> list[Problem]:
    encoded = _utf8(text)
    if encoded is None:
        return [_not_unicode(field)]
    if len(encoded) > LONGEST_BASIC_BYTES:
        message = f"It has {len(encoded):,} bytes in UTF-8; at most {LONGEST_BASIC_BYTES:,} are allowed."
        return [Problem(field, "too_long", message)]
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) == "Cc":
            message = f"Character {position} is the control character U+{ord(character):04X}; remove it."
            return [Problem(field, "control_character", message)]
    return []


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _not_unicode(field: str) -> Problem:
    return Problem(field, "surrogate", "It holds half of a surrogate pair, which cannot be sent; type it anew.")


def problems_with_token(token: str, field: str = "authentication.token") -> list[Problem]:
    """A token goes out as the value of X-Auth-Token, so it must be a header value, and not an empty one."""
    if not token:
        return [Problem(field, "header_value", "The token is empty; enter one, or choose no authentication.")]
    problem = problem_with_value(token, field)
    return [] if problem is None else [problem]


def problems_with_signing_secret(text: str, field: str = "signingSecret") -> list[Problem]:
    """A signing secret is `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme")."""
    if not text.startswith(SECRET_PREFIX):
        message = f"A signing secret begins with {SECRET_PREFIX}, followed by its bytes in base64."
        return [Problem(field, "secret_prefix", message)]
    encoded = text.removeprefix(SECRET_PREFIX)
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        decoded = None
    # Comparing back refuses the second spellings that decoders accept, so one secret has one text.
    if decoded is None or base64.b64encode(decoded).decode("ascii") != encoded:
        message = f"What follows {SECRET_PREFIX} is not padded base64 (letters, digits, + and /, = at the end)."
        return [Problem(field, "secret_base64", message)]
    if not SHORTEST_SECRET_BYTES <= len(decoded) <= LONGEST_SECRET_BYTES:
        message = f"It has {len(decoded)} bytes; {SHORTEST_SECRET_BYTES} to {LONGEST_SECRET_BYTES} are allowed."
        return [Problem(field, "secret_length", message)]
    return []


def decode_signing_secret(text: str, field: str = "signingSecret") -> bytes:
    """The key of the HMAC; raises InvalidInput as `problems_with_signing_secret` finds it."""
    problems = problems_with_signing_secret(text, field)
    if problems:
        raise InvalidInput(problems)
    return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)


def new_signing_secret(random_bytes: bytes) -> str:
    """The text of a new secret made of `random_bytes`: 32 bytes of a cryptographic source."""
    if len(random_bytes) != NEW_SECRET_BYTES:
        raise ValueError(f"a new signing secret is made of {NEW_SECRET_BYTES} bytes, not {len(random_bytes)}")
    return SECRET_PREFIX + base64.b64encode(random_bytes).decode("ascii")


def problems_with_email(text: str, field: str = "email") -> list[Problem]:
    """One plain ASCII address: no display name, no quotes, no comments, no list (RFC 5321, with its lengths)."""
    match = _EMAIL.fullmatch(text)
    if match is None or len(match["local"]) > 64 or len(text) > 254:
        message = f"{text[:80]!a} is not one plain e-mail address such as warehouse@example.com."
        return [Problem(field, "email", message)]
    return []


def problems_with_password(text: str, field: str = "password") -> list[Problem]:
    """A password of a user of Dockbell: any characters, 12 to 1,024 bytes in UTF-8."""
    encoded = _utf8(text)
    if encoded is None:
        return [_not_unicode(field)]
    if not SHORTEST_PASSWORD_BYTES <= len(encoded) <= LONGEST_PASSWORD_BYTES:
        message = (
            f"It has {len(encoded):,} bytes in UTF-8; {SHORTEST_PASSWORD_BYTES} to {LONGEST_PASSWORD_BYTES:,} are "
            "allowed. Several words in a row are easy to remember."
        )
        return [Problem(field, "password_length", message)]
    return []
