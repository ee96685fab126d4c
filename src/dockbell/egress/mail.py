"""The mail server: one message at a time, through the server that the operator has set.

The rules for addresses do not apply: who may enter a target URL cannot choose this server, and it mostly stands in the
operator's own network. Only Python's own smtplib is used; it blocks, so callers are threads.
"""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Literal

TIMEOUT_S = 10.0
Security = Literal["none", "starttls", "tls"]


class NotMailed(Exception):
    """The server did not take a message; `for_good` if it never will."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def send(self, *, recipient: str, subject: str, body: str) -> None:
        """Raises NotMailed."""
        try:
            self._send(_message(self.sender, recipient, subject, body))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise NotMailed(f"recipient refused: {codes}", for_good=all(code >= 500 for code in codes)) from error
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            raise NotMailed(f"{error.smtp_code} {error.smtp_error!r}"[:200], for_good=error.smtp_code >= 500) from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotMailed(f"{type(error).__name__}: {error}"[:200], for_good=isinstance(error, ValueError)) from error

    def _send(self, message: EmailMessage) -> None:
        context = ssl.create_default_context(cafile=self.ca_file)
        domain = self.sender.rpartition("@")[2]  # said in EHLO; smtplib would look this machine's name up for it
        made: smtplib.SMTP
        if self.security == "tls":
            made = smtplib.SMTP_SSL(self.host, self.port, domain, timeout=TIMEOUT_S, context=context)
        else:
            made = smtplib.SMTP(self.host, self.port, domain, timeout=TIMEOUT_S)
        with made as server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username is not None:
                server.login(self.username, self.password or "")
            server.send_message(message)


def _message(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """email.message refuses line ends in a header, so nothing that was typed becomes a header of its own."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message
