"""What follows from the settings before anything starts: what is refused, and whom to send mails through."""

from dockbell.domain.credentials import problems_with_email
from dockbell.egress.mail import MailServer
from dockbell.errors import ConfigError
from dockbell.settings import Settings


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
    return MailServer(smtp.host, smtp.port, smtp.security, smtp.sender, smtp.username, password, smtp.ca_file)
