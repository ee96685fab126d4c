"""From what libcurl reports to the outcome of an attempt: the codes an attempt is listed under."""

import errno
import re

import pycurl

from dockbell.domain.delivery import NO_TIME, Answered, Outcome, Timings, Unanswered
from dockbell.egress.guard import printable

HEAD_KEPT = 16 * 1024
_REFUSED = {errno.ECONNREFUSED: "connect_refused", errno.ETIMEDOUT: "connect_timeout"}
_CUT_OFF = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})
# X509_V_ERR_... of OpenSSL's x509_vfy.h.
_CERTIFICATE = {9: "tls_cert_not_yet_valid", 10: "tls_cert_expired", 62: "tls_hostname", 64: "tls_hostname"}
# Ours is the pool's name, which is nobody's business (see transfers.py).
_POOL_NAME = re.compile(r" via \S+\.invalid(:\d+)?")
_RETRY_AFTER = re.compile(rb"^retry-after:[ \t]*([^\r\n]{0,256})", re.IGNORECASE | re.MULTILINE)


def answered(easy: pycurl.Curl, head: list[bytes], body: bytes, *, cut: bool, dns_us: int) -> Answered:
    """The outcome once a complete head is there, whatever became of the body."""
    raw = b"".join(head)
    asked = _RETRY_AFTER.search(raw)
    return Answered(
        status=easy.getinfo(pycurl.RESPONSE_CODE),
        headers=raw[:HEAD_KEPT],
        body=body,
        body_cut=cut,
        retry_after=asked[1].decode("latin-1").rstrip() if asked else None,
        address=easy.getinfo(pycurl.PRIMARY_IP),
        timings=timings_of(easy, dns_us),
    )


def unanswered(easy: pycurl.Curl, code: int, message: str, *, dns_us: int) -> Unanswered:
    """The outcome of a transfer that ended before a complete head."""
    return Unanswered(
        reason_of(easy, code, message),
        printable(_POOL_NAME.sub("", message)),
        easy.getinfo(pycurl.PRIMARY_IP) or "",
        timings_of(easy, dns_us),
    )


def reason_of(easy: pycurl.Curl, code: int, message: str) -> str:
    os_error = easy.getinfo(pycurl.OS_ERRNO)
    # On a connection that was kept open nothing was connected anew: that the request went out says that it stood.
    has_sent = easy.getinfo(pycurl.REQUEST_SIZE) > 0
    connected = has_sent or easy.getinfo(pycurl.CONNECT_TIME_T) > 0
    in_handshake = connected and not has_sent and easy.getinfo(pycurl.APPCONNECT_TIME_T) == 0 and _is_https(easy)
    match code:
        case pycurl.E_OPERATION_TIMEDOUT:
            return "timeout" if connected and not in_handshake else "tls_timeout" if connected else "connect_timeout"
        case pycurl.E_COULDNT_CONNECT:
            return "connection_reset" if os_error in _CUT_OFF else _REFUSED.get(os_error, "connect_failed")
        case pycurl.E_COULDNT_RESOLVE_HOST:
            return "dns_error"
        case pycurl.E_PEER_FAILED_VERIFICATION:
            if ("subject" in message and "match" in message) or "no alternative certificate" in message:
                return "tls_hostname"
            return _CERTIFICATE.get(easy.getinfo(pycurl.SSL_VERIFYRESULT), "tls_untrusted")
        case pycurl.E_SSL_CONNECT_ERROR:
            lower = message.lower()
            about_version = "version" in lower or "unsupported protocol" in lower
            return "tls_protocol" if about_version and "wrong version number" not in lower else "tls_handshake"
        case pycurl.E_SSL_CIPHER:
            return "tls_handshake"
        case pycurl.E_SSL_CACERT_BADFILE:
            return "ca_file_unreadable"
        case pycurl.E_SEND_ERROR | pycurl.E_RECV_ERROR if in_handshake:
            return "tls_handshake"
        case pycurl.E_SEND_ERROR:
            return "connection_reset"
        case pycurl.E_RECV_ERROR if os_error in _CUT_OFF or "reset" in message.lower():
            return "connection_reset"
        case pycurl.E_OUT_OF_MEMORY | pycurl.E_FAILED_INIT | pycurl.E_BAD_FUNCTION_ARGUMENT:
            return "internal_error"
        case _:
            # GOT_NOTHING, WEIRD_SERVER_REPLY, UNSUPPORTED_PROTOCOL (HTTP/0.9), too large a head, bad chunks ...
            return "protocol_error"


def timings_of(easy: pycurl.Curl, dns_us: int) -> Timings:
    """The parts in microseconds; libcurl counts each from the start of the transfer."""
    try:
        total = easy.getinfo(pycurl.TOTAL_TIME_T)
        sent = easy.getinfo(pycurl.POSTTRANSFER_TIME_T) or easy.getinfo(pycurl.PRETRANSFER_TIME_T)
        first_byte = max(0, easy.getinfo(pycurl.STARTTRANSFER_TIME_T) - sent) if sent else 0
        if easy.getinfo(pycurl.NUM_CONNECTS) == 0:
            return Timings(dns_us, 0, 0, first_byte, dns_us + total)
        connect = easy.getinfo(pycurl.CONNECT_TIME_T)
        handshake_done = easy.getinfo(pycurl.APPCONNECT_TIME_T)
        begin = easy.getinfo(pycurl.NAMELOOKUP_TIME_T)
        return Timings(
            dns_us,
            max(0, connect - begin) if connect else 0,
            max(0, handshake_done - connect) if handshake_done else 0,
            first_byte,
            dns_us + total,
        )
    except pycurl.error:
        return NO_TIME


def _is_https(easy: pycurl.Curl) -> bool:
    return str(easy.getinfo(pycurl.EFFECTIVE_URL)).startswith("https:")


def without_answer(reason: str, detail: str) -> Outcome:
    return Unanswered(reason, printable(detail))
