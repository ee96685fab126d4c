"""Every receiver of the list `receiver` in tests/bad_inputs, as a real one on loopback."""

import contextlib
import datetime as dt
import socket
import ssl
import warnings
from collections.abc import Iterator
from typing import Any

import trustme

from dockbell.testing.receiver import Receiver

NAME = "hook.example.com"
"""The host that the certificates are for; whoever asks needs a resolver that leads it here."""
DEEP_NAME = "a.b.example.com"


def receiver_for(name: str, authority: trustme.CA) -> Receiver:
    """The receiver of a case: its misbehaviour, or a sound one whose certificate or TLS version is at fault."""
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the real clock
    match name:
        case "tls_not_yet":
            tls = tls_of(authority, NAME, not_before=now + dt.timedelta(days=30))
        case "tls_self_signed":
            tls = self_signed()
        case "tls_untrusted_ca":
            tls = tls_of(trustme.CA(), NAME)
        case "tls_wildcard_deep":
            tls = tls_of(authority, "*.example.com")
        case "tls_sni_mismatch":
            tls = only_with_name(tls_of(authority, NAME))
        case "tls10" | "tls11":
            tls = tls_of(authority, NAME)
            tls.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                version = ssl.TLSVersion.TLSv1 if name == "tls10" else ssl.TLSVersion.TLSv1_1
                tls.minimum_version = tls.maximum_version = version
        case "tls_hang" | "tls_reset":
            return Receiver(name, tls=tls_of(authority, NAME))
        case _:
            return Receiver(name)
    return Receiver("200", tls=tls)


def self_signed() -> ssl.SSLContext:
    """The certificate of an authority, used as a server's own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the real clock
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(pem).tempfile() as file:
        context.load_cert_chain(file)
    return context


def only_with_name(tls: ssl.SSLContext) -> ssl.SSLContext:
    def check(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if name == NAME else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    tls.sni_callback = check
    return tls


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Bound, so that nobody else gets it, but not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A listener that never accepts and whose queue is full: Linux drops further SYNs without a word."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def tls_of(issuer: trustme.CA, *names: str, **settings: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names, **settings).configure_cert(context)
    return context
