"""The mail server: one message at a time, through the server that the operator has set.

The rules for addresses do not apply: who may enter a target URL cannot choose this server, and it mostly stands in the
operator's own network. Only Python's own smtplib is used; it blocks, so callers are threads.
"""

import contextlib
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Any, Literal

TIMEOUT_S = 10.0
"""For each answer, and each try to connect."""
DEADLINE_S = 60.0
"""For the whole: a server that says a line now and then would never be late with one."""
Security = Literal["none", "starttls", "tls"]


class NotMailed(Exception):
    """The server did not take a message; `for_good` if it never will."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class Conversation:
    """A hold on one conversation with the server, by which another thread ends it, whatever it waits for."""

    def __init__(self) -> None:
        self.ended = False
        self._lock = threading.Lock()
        self._held: socket.socket | None = None

    def hold(self, connection: socket.socket) -> None:
        """By a descriptor of our own: STARTTLS takes the connection over into another socket."""
        with self._lock:
            self._held = socket.fromfd(connection.fileno(), connection.family, connection.type)
        if self.ended:
            self.end()

    def end(self) -> None:
        self.ended = True
        with self._lock, contextlib.suppress(OSError):  # the server may have ended it already
            if self._held is not None:
                self._held.shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        with self._lock:
            if self._held is not None:
                self._held.close()
            self._held = None


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def send(self, *, recipient: str, subject: str, body: str, conversation: Conversation | None = None) -> None:
        """Raises NotMailed, also when the conversation was ended before the server had taken the message."""
        held = conversation or Conversation()
        deadline = threading.Timer(DEADLINE_S, held.end)
        deadline.daemon = True
        deadline.start()
        try:
            self._try(held, recipient, subject, body)
        finally:
            deadline.cancel()
            held.let_go()

    def _try(self, held: Conversation, recipient: str, subject: str, body: str) -> None:
        try:
            self._send(held, _message(self.sender, recipient, subject, body))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise NotMailed(f"recipient refused: {codes}", for_good=all(code >= 500 for code in codes)) from error
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            raise NotMailed(f"{error.smtp_code} {error.smtp_error!r}"[:200], for_good=error.smtp_code >= 500) from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if held.ended:
                raise NotMailed("not taken before the conversation was ended", for_good=False) from error
            raise NotMailed(f"{type(error).__name__}: {error}"[:200], for_good=isinstance(error, ValueError)) from error

    def _send(self, held: Conversation, message: EmailMessage) -> None:
        context = ssl.create_default_context(cafile=self.ca_file)
        domain = self.sender.rpartition("@")[2]  # said in EHLO; smtplib would look this machine's name up for it
        made: smtplib.SMTP
        if self.security == "tls":
            made = _HeldOverTls(held, self.host, self.port, domain, timeout=TIMEOUT_S, context=context)
        else:
            made = _Held(held, self.host, self.port, domain, timeout=TIMEOUT_S)
        taken = False
        try:
            with made as server:
                if self.security == "starttls":
                    server.starttls(context=context)
                if self.username is not None:
                    server.login(self.username, self.password or "")
                server.send_message(message)
                taken = True
        except (smtplib.SMTPException, OSError):
            if not taken:  # else only the good-bye failed: what was taken must not be sent again
                raise


class _Held(smtplib.SMTP):
    """Gives its connection to a Conversation before it reads the first line; smtplib has no other place for that."""

    def __init__(self, held: Conversation, *args: Any, **options: Any) -> None:
        self._conversation = held
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._conversation.hold(made)
        return made


class _HeldOverTls(_Held, smtplib.SMTP_SSL):
    pass


def _message(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """email.message refuses line ends in a header, so nothing that was typed becomes a header of its own.

    But it takes `=?utf-8?q?=0A?=` in a text for what that stands for, and older ones write the line end out (CVE-2024-6923).
    """
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject.replace("=?", "= ?")
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message
