"""Looks after webhooks that only fail: disables them in the end, and takes mails about them to the mail server.

A mail that is not taken is tried again after a minute, then after twice as long each time, for three days. Any node does it;
a lease keeps two from sending the same mail, so one is sent twice only if a node ends between the server's yes and its note.
"""

import asyncio
import threading
from concurrent.futures import Future
from typing import Protocol

import structlog

from dockbell.actions import failing as actions
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import DAY, HOUR, MINUTE, Clock
from dockbell.egress.mail import Conversation, NotMailed
from dockbell.store import failing
from dockbell.store.database import Database, Row
from dockbell.store.futures import awaited

log = structlog.get_logger()
LOOKS_S = 15.0
AT_ONCE = 5
"""One after the other, each for a minute at most: all are done well before their lease ends."""
LEASE = 10 * MINUTE
TRIED_FOR = 3 * DAY


class Mails(Protocol):
    def send(self, *, recipient: str, subject: str, body: str, conversation: Conversation) -> None: ...


class Postman:
    def __init__(
        self, database: Database, webhooks: Webhooks, clock: Clock, server: Mails | None, *, disable_after_days: float
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._clock = clock
        self._server = server
        self._days = disable_after_days

    async def run(self) -> None:
        while True:
            try:
                await self.round()
            except Exception as error:
                log.error("postman.round_failed", error=str(error))
            await self._clock.sleep(LOOKS_S)

    async def round(self) -> None:
        """One look at what fails, and at the mails that are due."""
        now, mailing = self._clock.now(), self._server is not None
        disabled = await self._database.write(
            lambda tx: actions.look(tx, self._webhooks, now=now, disable_after_days=self._days, mailing=mailing)
        )
        for webhook_id in disabled:
            log.warning("webhook.disabled", webhook_id=webhook_id, hint="Every attempt failed for days.")
        if self._server is None:
            return
        mails = await self._database.write(
            lambda tx: failing.claim_mails(tx, now=now, lease_until=now + LEASE, limit=AT_ONCE)
        )
        for mail in mails:
            await self._take(self._server, mail)

    async def _take(self, server: Mails, mail: Row) -> None:
        now = self._clock.now()
        done, again = [mail["id"]], []
        if (error := await _mailed(server, mail)) is not None:
            given_up = error.for_good or now - mail["made_at"] > TRIED_FOR
            log.warning("mail.not_sent", error=str(error), given_up=given_up, tries=mail["tries"])
            if not given_up:
                done, again = [], [(mail["id"], now + min(HOUR, MINUTE * 2 ** min(10, mail["tries"] - 1)))]
        await self._database.write(lambda tx: failing.end_mails(tx, done, again))


async def _mailed(server: Mails, mail: Row) -> NotMailed | None:
    """Send one in a thread that nobody waits for when the node stops: whoever is cancelled here ends the conversation."""
    conversation, came_to = Conversation(), Future[NotMailed | None]()

    def send() -> None:
        try:
            server.send(
                recipient=mail["recipient"], subject=mail["subject"], body=mail["body"], conversation=conversation
            )
            came_to.set_result(None)
        except NotMailed as error:
            came_to.set_result(error)
        except BaseException as error:  # handed to whoever waits
            came_to.set_exception(error)

    threading.Thread(target=send, name="mail", daemon=True).start()
    try:
        return await awaited(came_to)
    except asyncio.CancelledError:
        conversation.end()
        raise
