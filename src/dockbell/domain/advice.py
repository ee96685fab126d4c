"""What to do about an attempt that did not deliver: a sentence or two for each code, on pages and elsewhere."""

from collections.abc import Mapping

_OF_CODE: Mapping[str, str] = {
    "delivered": "",
    "interrupted": (
        "Dockbell stopped while this attempt was under way; it is made again by itself. The receiver may have got the "
        "event twice: it can tell by the webhook-id header."
    ),
    # What kept us from sending.
    "egress_denied_address": (
        "The target URL leads to an address that this installation does not send to. Use a public address, or ask the "
        "administrator for a rule in egress.allow."
    ),
    "url_refused": (
        "The target URL is not allowed any more. Edit the webhook and enter an allowed URL, or ask the operator whether a rule "
        "in egress.allow was lost. What is still tried again goes to the new URL."
    ),
    "goods_owner_removed": (
        "The goods owner was taken off the webhook, so nothing of theirs is sent to it. Add them again, or make another "
        "webhook for them."
    ),
    "payload_erased": "The event's payload was erased before it was sent, so there is nothing left to send.",
    "internal_error": (
        "Dockbell made a mistake; it tries three times in all. Tell the operator when it happened; the log has the reason."
    ),
    "file_descriptors": "The server has no file descriptor left. The operator must raise the limit (ulimit -n).",
    # Finding and reaching the receiver.
    "dns_error": (
        "The host of the target URL has no address. Check its spelling, and that its DNS record exists and is public."
    ),
    "dns_timeout": "The name server did not answer in time. Check the DNS of the host; a slow one delays each attempt.",
    "connect_refused": (
        "Nothing listens at that host and port. Check the port in the target URL, and that the receiver is running."
    ),
    "connect_timeout": (
        "The host does not answer. Check the address, and that the firewall in front of the receiver lets us in."
    ),
    "connect_failed": (
        "No connection could be made. Check that the address in the target URL can be reached from the internet."
    ),
    "connection_reset": (
        "The receiver closed the connection before it answered. Look into its log, and that of the proxy before it."
    ),
    "connection_ended": (
        "Nothing to do: it was sent again at once. If it happens often, the receiver, or a proxy before it, ends idle "
        "connections within seconds; a longer keep-alive there saves attempts."
    ),
    "timeout": (
        "The receiver did not answer in time. Let it answer 200 at once and work afterwards, or allow a longer timeout."
    ),
    "protocol_error": (
        "What came back is no HTTP answer. Check that the port speaks HTTP and whether it wants https:// or http://."
    ),
    # TLS.
    "tls_hostname": (
        "The certificate is for another name. Use the name that stands in the certificate, or get one for this host."
    ),
    "tls_cert_expired": "The receiver's certificate has expired. It must be renewed there.",
    "tls_cert_not_yet_valid": "The receiver's certificate is not valid yet. Check the certificate and its clock.",
    "tls_untrusted": (
        "The certificate is self-signed, or the chain to a known authority is incomplete. Install a trusted one with "
        "its intermediate certificates, or have the operator add your authority to egress.ca_file."
    ),
    "tls_protocol": "The receiver offers only outdated TLS versions. Enable TLS 1.2 or 1.3 there.",
    "tls_handshake": (
        "TLS could not be agreed on. Check that this port speaks TLS (https:// against http://) and asks for no client "
        "certificate."
    ),
    "tls_timeout": "The host took the connection but never finished TLS. Check that this port speaks TLS.",
    # Answers.
    "http_redirect": (
        "The receiver sends us elsewhere; redirects are never followed. Enter the address it names as the target URL."
    ),
    "http_400": (
        "The receiver does not understand the request. Compare the body with what it expects; its answer may say more."
    ),
    "http_401": (
        "The receiver does not accept the credentials. Enter user name and password, or the token, again, "
        "and check that the authentication is of the kind it wants."
    ),
    "http_403": (
        "The receiver knows us but refuses. Check the rights of the user or token, and whether it lets our address in."
    ),
    "http_404": "There is nothing at this path. Check the path of the target URL, character by character.",
    "http_405": "The path does not take POST. Check the path, and that the receiver expects a POST there.",
    "http_407": "A proxy in between asks for credentials. The operator must mend the way out of this network.",
    "http_408": "The receiver gave up waiting for the request. It is overloaded, or a proxy before it is too strict.",
    "http_410": (
        "The receiver asks for no more webhooks; that disables the webhook, unless it was a test. Enable it once the "
        "receiver is back."
    ),
    "http_411": "The receiver misread the request's length. Check the proxy before it.",
    "http_413": "The payload is larger than the receiver takes. Raise its limit for request bodies.",
    "http_415": "The receiver does not take application/json. Check what it expects at this path.",
    "http_421": "The host does not serve this name on that connection. Check the proxy before the receiver.",
    "http_422": "The receiver understood the request but refuses its content. Its answer should say which field.",
    "http_429": "The receiver asks us to slow down. Lower this webhook's attempts at once, or raise its limit.",
    "http_500": "The receiver failed while it worked on the event. Its log has the reason.",
    "http_502": "The proxy before the receiver got no proper answer from it. Check that the receiver runs.",
    "http_503": "The receiver is not available at the moment. Check that it runs, and that it is not overloaded.",
    "http_504": "The proxy before the receiver waited in vain. Let the receiver answer at once and work afterwards.",
}
CODES = frozenset(_OF_CODE)
"""What an attempt can be listed under, besides http_ and a status."""
_CLIENT = "The receiver refuses the request. Its answer, and its log, should say why."
_SERVER = "The receiver failed. Its log has the reason."
_ODD = "The receiver answered in a way that webhooks do not use. It should answer 200 to 299 when it took the event."
_UNKNOWN = "The attempt failed. The detail beside it says what was met; ask the operator if it does not help."
TEXTS = frozenset((*_OF_CODE.values(), _CLIENT, _SERVER, _ODD, _UNKNOWN)) - {""}
"""Every advice there is, for those who translate it."""


def advice_for(code: str, status_code: int | None = None) -> str:
    """What to do about an attempt listed under `code`; empty for one that delivered."""
    known = _OF_CODE.get(code)
    if known is not None:
        return known
    status = status_code if status_code is not None else _status_in(code)
    if status is None:
        return _UNKNOWN
    if 200 <= status <= 299:
        return ""
    if 300 <= status <= 399:
        return _OF_CODE["http_redirect"]
    if 400 <= status <= 499:
        return _CLIENT
    return _SERVER if 500 <= status <= 599 else _ODD


def _status_in(code: str) -> int | None:
    digits = code.removeprefix("http_")
    return int(digits) if digits != code and digits.isascii() and digits.isdigit() and len(digits) <= 3 else None
