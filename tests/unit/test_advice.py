"""Advice: whatever an attempt met, the page says what to do."""

import pytest

from dockbell.domain.advice import advice_for

CODES = [
    "interrupted", "egress_denied_address", "url_refused", "internal_error",
    "file_descriptors", "dns_error", "dns_timeout",
    "connect_refused", "connect_timeout", "connect_failed", "connection_reset", "connection_ended",
    "timeout", "protocol_error", "tls_hostname", "tls_cert_expired",
    "tls_cert_not_yet_valid", "tls_untrusted", "tls_protocol", "tls_handshake",
    "tls_timeout", "http_redirect",
]  # fmt: skip
GENERAL = advice_for("never_heard_of")


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_an_attempt_has_advice_of_its_own(code):
    assert advice_for(code) not in ("", GENERAL)
    assert sum(advice_for(code) == advice_for(other) for other in CODES) == 1


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_advice_unless_it_delivered(status):
    code = "delivered" if status // 100 == 2 else "http_redirect" if status // 100 == 3 else f"http_{status}"
    assert advice_for(code, status) == advice_for(code)
    assert (advice_for(code, status) == "") == (200 <= status <= 299)
    assert advice_for(code, status) != GENERAL


def test_what_nobody_foresaw_points_at_the_detail():
    assert "detail" in GENERAL
    assert advice_for("http_", None) == advice_for("http_x") == advice_for("") == GENERAL
