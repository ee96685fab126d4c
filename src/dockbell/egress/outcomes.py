"""From what went wrong on a connection to the outcome of an attempt: the codes an attempt is listed under."""

import errno
import resource
import ssl

from dockbell.domain.delivery import NO_TIME, Timings, Unanswered
from dockbell.egress.guard import printable

_CUT_OFF = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN})
_CONNECT = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ETIMEDOUT: "connect_timeout",
    errno.EMFILE: "file_descriptors",
    errno.ENFILE: "file_descriptors",
}
# X509_V_ERR_... of OpenSSL's x509_vfy.h.
_CERTIFICATE = {9: "tls_cert_not_yet_valid", 10: "tls_cert_expired", 62: "tls_hostname", 64: "tls_hostname"}


def not_connected(error: Exception, address: str, timings: Timings) -> Unanswered:
    """The outcome when no connection came about."""
    reason, detail = reason_of_connecting(error), str(error)
    if reason == "file_descriptors":
        detail = f"No file descriptor is left (the limit is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}); raise it."
    return Unanswered(reason, printable(detail), address, timings)


def not_shaken_hands(error: Exception, address: str, timings: Timings) -> Unanswered:
    """The outcome when TLS did not come about."""
    return Unanswered(reason_of_tls(error), printable(str(error)), address, timings)


def reason_of_connecting(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number in _CUT_OFF:
        return "connection_reset"
    return _CONNECT.get(number or 0, "connect_failed")


def reason_of_tls(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "tls_untrusted")
    if isinstance(error, ssl.SSLError) and "PROTOCOL" in (error.reason or ""):
        return "tls_protocol"
    return "tls_handshake"


def broken_off(error: Exception | None, address: str, timings: Timings) -> Unanswered:
    """The outcome when the connection ended before a complete head had come; without an error it ended in order."""
    if error is None:
        return Unanswered("protocol_error", "The receiver closed the connection without an answer.", address, timings)
    return Unanswered("connection_reset", printable(str(error)), address, timings)


def ended_idle(error: Exception | None, address: str, timings: Timings) -> Unanswered:
    """The outcome when a connection kept from an earlier request ended without one byte of an answer.

    Mostly it had ended before the request came (RFC 9112, section 9.5), but nobody can know: so the request is not sent
    again here, where the log would not see it.
    """
    why = "" if error is None else f" ({error})"
    detail = (
        f"The connection kept from an earlier request had ended{why}; whether the receiver got this one is unknown."
    )
    return Unanswered("connection_ended", printable(detail), address, timings)


def without_answer(reason: str, detail: str, address: str = "", timings: Timings = NO_TIME) -> Unanswered:
    return Unanswered(reason, printable(detail), address, timings)
