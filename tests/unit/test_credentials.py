import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as IndependentVerifier

from dockbell.domain.credentials import (
    decode_signing_secret,
    new_signing_secret,
    problems_with_basic,
    problems_with_email,
    problems_with_password,
    problems_with_signing_secret,
    problems_with_token,
)
from dockbell.errors import InvalidInput
from tests.support.bad_inputs import cases

JUDGES = {
    "username": lambda text: problems_with_basic(text, ""),
    "password": lambda text: problems_with_basic("", text),
    "token": problems_with_token,
    "signing_secret": problems_with_signing_secret,
    "email": problems_with_email,
    "user_password": problems_with_password,
}


@pytest.mark.parametrize("case", cases("credential"), ids=str)
def test_every_listed_credential_gets_its_verdict_by_its_rule(case):
    codes = [problem.code for problem in JUDGES[case.more["field"]](case.input)]
    assert codes == ([] if case.is_accepted else [case.code]), case.why


def test_both_parts_of_basic_authentication_are_judged_at_once_each_with_its_place():
    found = problems_with_basic("a:\n", "\x00")
    assert [(problem.field, problem.code) for problem in found] == [
        ("authentication.username", "control_character"),
        ("authentication.password", "control_character"),
        ("authentication.username", "basic_username_colon"),
    ]


def test_no_message_repeats_a_secret():
    secret = "s3cret-s3cret\n"
    problems = (
        problems_with_basic("", secret)
        + problems_with_token(secret)
        + problems_with_signing_secret(secret)
        + problems_with_signing_secret("whsec_" + secret)
        + problems_with_password(secret[:6])
    )
    assert len(problems) == 5
    assert not any("s3cret" in problem.message for problem in problems)


def test_a_new_signing_secret_is_accepted_and_decodes_to_its_bytes():
    key = bytes(range(32))
    text = new_signing_secret(key)
    assert problems_with_signing_secret(text) == []
    assert decode_signing_secret(text) == key


def test_a_new_signing_secret_of_another_length_is_a_bug():
    with pytest.raises(ValueError, match="32 bytes"):
        new_signing_secret(b"short")


def test_decoding_a_bad_signing_secret_names_the_problem():
    with pytest.raises(InvalidInput) as refused:
        decode_signing_secret("plaintext", field="secret")
    assert refused.value.code == "secret_prefix"
    assert refused.value.problems[0].field == "secret"


@given(st.binary(min_size=24, max_size=64))
def test_an_independent_implementation_reads_the_same_key_out_of_an_accepted_secret(key):
    text = "whsec_" + base64.b64encode(key).decode()
    assert decode_signing_secret(text) == key == IndependentVerifier(text)._whsecret


@given(st.text())
def test_any_text_in_any_field_gets_a_verdict(text):
    for judge in JUDGES.values():
        judge(text)


@given(st.emails())
def test_an_accepted_email_address_is_one_plain_token(text):
    if problems_with_email(text) == []:
        assert text.count("@") == 1
        assert text.isascii()
        assert not set(text) & set(' "<>(),;:\\[]\r\n')
