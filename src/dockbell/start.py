"""What follows from the settings before anything starts: what is refused, and whom to send mails through."""

import ssl

from dockbell.domain.addresses import parse_allow_rules, parse_nat64_prefixes
from dockbell.domain.credentials import problems_with_email
from dockbell.egress.connecting import tls_context
from dockbell.egress.mail import MailServer
from dockbell.errors import ConfigError
from dockbell.settings import Settings


def refusals(settings: Settings) -> list[ConfigError]:
    """Each reason why no node starts with these settings."""
    found = []
    for check in (refuse_open_door, _allow_rules, _certificates, mail_server, _outbox):
        try:
            check(settings)
        except ConfigError as error:
            found.append(error)
    return found


def need_sound(settings: Settings) -> None:
    """Refuse wrong settings before anything is made, or told that is told but once; raises ConfigError with every refusal."""
    if found := refusals(settings):
        told = [text for error in found for text in (error.message, error.hint) if text]
        raise ConfigError("\n".join(told))


def refuse_open_door(settings: Settings) -> None:
    if settings.server.host not in ("127.0.0.1", "::1", "localhost") and not settings.server.behind_proxy:
        raise ConfigError(
            f"server.host is {settings.server.host}: API keys would travel in clear. Put a TLS proxy in front and set "
            "DOCKBELL_SERVER__BEHIND_PROXY=true, or listen on 127.0.0.1.",
        )


def mail_server(settings: Settings) -> MailServer | None:
    smtp = settings.smtp
    password = smtp.secret()
    if smtp.host is None:
        return None
    if smtp.sender is None or problems_with_email(smtp.sender):
        raise ConfigError("smtp.host is set, so smtp.sender must be the e-mail address that mails come from.")
    if smtp.ca_file is not None:
        try:
            ssl.create_default_context(cafile=smtp.ca_file)
        except OSError as error:  # also ssl.SSLError
            raise ConfigError(
                f"smtp.ca_file {smtp.ca_file} cannot be read as a list of trusted certificates: {error}.",
                hint="Name a PEM file in DOCKBELL_SMTP__CA_FILE, or leave it out.",
            ) from error
    for name, text in (("smtp.username", smtp.username), ("smtp.password", password)):
        if text is not None and not text.isascii():  # smtplib says neither, and every mail would be given up
            raise ConfigError(
                f"{name} has a letter that is not in ASCII, and mail servers are told nothing else.",
                hint="Let the mail server have another user or password for Dockbell.",
            )
    return MailServer(smtp.host, smtp.port, smtp.security, smtp.sender, smtp.username, password, smtp.ca_file)


def _allow_rules(settings: Settings) -> None:
    parse_allow_rules(settings.egress.allow, allow_wide=settings.egress.allow_wide)
    parse_nat64_prefixes(settings.egress.nat64_prefixes)


def _certificates(settings: Settings) -> None:
    tls_context(settings.egress.ca_file)


def _outbox(settings: Settings) -> None:
    settings.outbox.address()
