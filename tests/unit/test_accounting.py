"""A judge that was never seen to find anything proves nothing: each history here is doctored in one place."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dockbell.domain import advice
from tests.faults.accounting import (
    FAULTS,
    NO_FAILURE,
    OUR_REFUSALS,
    UNANSWERED,
    Account,
    Attempt,
    Logged,
    Publication,
    Receipt,
    Webhook,
    account,
    needs_attempts,
)

TEA, FJORD = 114, 207
OF_TEA, OF_FJORD, OF_ALL = 1, 2, 3
STEPS_S = (1, 5)
WEBHOOKS = (
    Webhook(OF_TEA, frozenset({TEA}), "webhookOrdersId", steps_s=STEPS_S),
    Webhook(OF_FJORD, frozenset({FJORD}), "webhookOrdersId", steps_s=STEPS_S),
    Webhook(OF_ALL, frozenset({TEA, FJORD}), "webhookOrdersId", frozenset({"failed"}), STEPS_S),
)
"""Only deliveries to OF_ALL may fail, after as many attempts as the retry policy has."""
DELIVERED = Attempt(1, "delivered", 200)
FAILED = Attempt(1, "http_500", 500)
INTERRUPTED = Attempt(1, "interrupted", None)
THREE_FAILURES = tuple(Attempt(number, "http_500", 500) for number in (1, 2, 3))


@dataclass
class History:
    """Three orders, each for two webhooks, all delivered at the first attempt but `901-1`: that took two."""

    publications: list[Publication] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)

    def account(self) -> Account:
        return account(WEBHOOKS, self.publications, self.receipts, self.log)

    def receipt(self, delivery_id: str) -> int:
        """The place of the last receipt of a delivery."""
        return max(n for n, one in enumerate(self.receipts) if one.delivery_id == delivery_id)

    def row(self, delivery_id: str) -> int:
        return next(n for n, one in enumerate(self.log) if one.delivery_id == delivery_id)

    def change_receipt(self, of: str, **fields: Any) -> None:
        place = self.receipt(of)
        self.receipts[place] = replace(self.receipts[place], **fields)

    def change_row(self, delivery_id: str, **fields: Any) -> None:
        place = self.row(delivery_id)
        self.log[place] = replace(self.log[place], **fields)

    def repeat(self, delivery_id: str, first: Attempt) -> None:
        """The delivery was received once more; its log has `first` before the attempt that delivered."""
        self.receipts.append(self.receipts[self.receipt(delivery_id)])
        self.change_row(delivery_id, attempts=2, attempt_list=(first, replace(DELIVERED, number=2)))


def a_history() -> History:
    history = History()
    for event_id, owner, of_owner in ((901, TEA, OF_TEA), (902, FJORD, OF_FJORD), (903, TEA, OF_TEA)):
        number = 50_000 + event_id
        data = f'{{ "orderNumber": "SÖ-{number}",  "orderId": {number}, "weight": 1.10}}'
        wanted = frozenset({of_owner, OF_ALL})
        history.publications.append(Publication(number, owner, data, wanted, frozenset({event_id})))
        for webhook in sorted(wanted):
            history.receipts.append(
                Receipt(
                    webhook, f"{event_id}-{webhook}", a_body(webhook, event_id, owner, data), True, 200, 1, event_id
                )
            )
            history.log.append(Logged(event_id, webhook, owner, number, "delivered", 1))
    history.repeat("901-1", FAILED)
    history.receipts[0] = replace(history.receipts[0], answered=500)
    return history


def a_body(webhook: int, event_id: int, owner: int, data: str) -> str:
    return f'{{"webhookOrdersId":{webhook},"webhookEventId":{event_id},"goodsOwnerId":{owner},{data[1:].lstrip()}'


def faults_of(history: History) -> dict[str, int]:
    return {name: len(found) for name, found in history.account().faults.items() if found}


def test_a_history_in_which_all_is_well_has_no_fault():
    found = a_history().account()
    assert found.is_clean, found.faults
    assert (found.published, found.accepted, found.wanted, found.received) == (3, 3, 6, 7)
    assert found.statuses == Counter(delivered=6)
    assert found.explained_dups == 0


def lose_a_log_row(history: History) -> None:
    del history.receipts[history.receipt("902-3")]
    del history.log[history.row("902-3")]


def lose_an_event(history: History) -> None:
    history.receipts = [one for one in history.receipts if not one.delivery_id.startswith("902-")]
    history.log = [one for one in history.log if one.event_id != 902]


def lose_a_receipt(history: History) -> None:
    del history.receipts[history.receipt("902-3")]


def answer_500_where_the_log_says_delivered(history: History) -> None:
    history.change_receipt("902-3", answered=500)


def log_an_answer_that_was_never_given(history: History) -> None:
    history.repeat("902-3", FAILED)
    history.receipts.pop()


def receive_what_nobody_published(history: History) -> None:
    del history.publications[2]
    history.log = [one for one in history.log if one.event_id != 903]


def log_what_nobody_published(history: History) -> None:
    history.log.append(Logged(904, OF_TEA, TEA, 1, "pending", 0))


def accept_one_publication_as_two_events(history: History) -> None:
    again = [replace(one, event_id=905) for one in history.log if one.event_id == 903]
    history.log += [replace(one, status="pending", attempts=0) for one in again]
    history.publications[2] = replace(history.publications[2], event_ids=frozenset({903, 905}))


def send_one_publication_under_an_id_no_answer_named(history: History) -> None:
    body = history.receipts[history.receipt("903-1")].body.replace("903,", "905,", 1)
    history.receipts.append(Receipt(OF_TEA, "905-1", body, True, 200, 1, 905))


def send_what_the_filter_does_not_want(history: History) -> None:
    history.publications[2] = replace(history.publications[2], wanted_by=frozenset({OF_TEA}))


def break_the_signature(history: History) -> None:
    history.change_receipt("902-3", is_signed=False)


def rewrite_a_number(history: History) -> None:
    body = history.receipts[history.receipt("902-3")].body
    history.change_receipt("902-3", body=body.replace("1.10", "1.1"))


def mix_up_the_head(history: History) -> None:
    body = history.receipts[history.receipt("902-3")].body
    history.change_receipt("902-3", body=body.replace('"webhookEventId":902', '"webhookEventId":903'))


def cut_the_body(history: History) -> None:
    history.change_receipt("902-3", body=history.receipts[history.receipt("902-3")].body[:-10])


def change_the_body_between_attempts(history: History) -> None:
    body = history.receipts[history.receipt("901-1")].body
    history.change_receipt("901-1", body=body.replace('{"', '{"system":"another","', 1))


def send_to_another_goods_owner(history: History) -> None:
    history.change_receipt("902-2", webhook=OF_TEA)


def match_another_goods_owner(history: History) -> None:
    history.publications[1] = replace(history.publications[1], wanted_by=frozenset({OF_TEA, OF_ALL}))
    history.change_row("902-2", webhook=OF_TEA)
    body = history.receipts[history.receipt("902-2")].body.replace('"webhookOrdersId":2', '"webhookOrdersId":1')
    history.change_receipt("902-2", webhook=OF_TEA, delivery_id="902-1", body=body)


def share_a_connection(history: History) -> None:
    history.change_receipt("902-3", connection=901)


def log_for_another_goods_owner(history: History) -> None:
    history.change_row("902-3", goods_owner=TEA)


def receive_more_often_than_attempted(history: History) -> None:
    history.receipts.append(replace(history.receipts[history.receipt("902-3")], answered=500))


def receive_without_a_log_row(history: History) -> None:
    del history.log[history.row("902-3")]


def attempt_again_after_delivered(history: History) -> None:
    history.repeat("902-3", DELIVERED)


def deliver_twice_without_a_reason(history: History) -> None:
    history.repeat("902-3", FAILED)


def deliver_twice_where_nothing_was_sent(history: History) -> None:
    history.repeat("902-3", Attempt(1, "connect_refused", None))


def deliver_twice_where_sending_was_refused(history: History) -> None:
    history.repeat("902-3", Attempt(1, "egress_denied_address", None))


def send_beside_an_attempt_that_sent_nothing(history: History) -> None:
    history.repeat("902-3", Attempt(1, "connect_timeout", None))
    history.change_receipt("902-3", at=3, answered=500)
    first = next(n for n, one in enumerate(history.receipts) if one.delivery_id == "902-3")
    history.receipts[first] = replace(history.receipts[first], until=5)


def end_unasked(history: History, status: str, *attempts: Attempt, of: str = "902-3") -> None:
    """It never got a 2xx, and stays in the log as `status`."""
    history.receipts = [one for one in history.receipts if one.delivery_id != of]
    place = history.publications[1]
    body = a_body(int(of[-1]), 902, FJORD, place.data)
    history.receipts += [Receipt(int(of[-1]), of, body, True, one.status, 1, 902) for one in attempts if one.status]
    history.change_row(of, status=status, attempts=len(attempts), attempt_list=attempts)


def cancel_unasked(history: History) -> None:
    end_unasked(history, "cancelled")


def hold_for_an_enabled_webhook(history: History) -> None:
    end_unasked(history, "held")


def leave_waiting(history: History) -> None:
    end_unasked(history, "pending")


def cancel_what_was_received(history: History) -> None:
    history.change_row("902-3", status="cancelled", attempt_list=(INTERRUPTED,))


def fail_without_an_attempt(history: History) -> None:
    end_unasked(history, "failed")


def fail_after_one_of_three_attempts(history: History) -> None:
    end_unasked(history, "failed", FAILED)


def fail_by_interruptions(history: History) -> None:
    end_unasked(history, "failed", FAILED, replace(INTERRUPTED, number=2), replace(INTERRUPTED, number=3))


def fail_by_our_own_refusals(history: History) -> None:
    end_unasked(history, "failed", *(Attempt(number, "internal_error", None) for number in (1, 2, 3)))


def fail_where_no_failure_is_expected(history: History) -> None:
    end_unasked(history, "failed", *THREE_FAILURES, of="902-2")


def attempt_beside_an_attempt(history: History) -> None:
    history.receipts[0] = replace(history.receipts[0], until=5)
    history.change_receipt("901-1", at=3)


DOCTORED: list[tuple[Callable[[History], None], dict[str, int]]] = [
    (lose_a_log_row, {"LOST": 1}),
    (lose_an_event, {"LOST": 2}),
    (lose_a_receipt, {"FALSE": 1}),
    (answer_500_where_the_log_says_delivered, {"FALSE": 1}),
    (log_an_answer_that_was_never_given, {"FALSE": 1}),
    (receive_what_nobody_published, {"PHANTOM": 2}),
    (log_what_nobody_published, {"PHANTOM": 1}),
    (accept_one_publication_as_two_events, {"PHANTOM": 1, "LOST": 2}),
    (send_one_publication_under_an_id_no_answer_named, {"PHANTOM": 1}),
    (send_what_the_filter_does_not_want, {"PHANTOM": 2}),
    (break_the_signature, {"CORRUPT": 1}),
    (rewrite_a_number, {"CORRUPT": 1}),
    (mix_up_the_head, {"CORRUPT": 1}),
    (cut_the_body, {"CORRUPT": 1}),
    (change_the_body_between_attempts, {"CORRUPT": 1}),
    (send_to_another_goods_owner, {"CROSS": 1}),
    (match_another_goods_owner, {"CROSS": 1}),
    (share_a_connection, {"CROSS": 1}),
    (log_for_another_goods_owner, {"CROSS": 1}),
    (receive_more_often_than_attempted, {"GHOST": 1}),
    (receive_without_a_log_row, {"GHOST": 1}),
    (attempt_beside_an_attempt, {"OVERLAP": 1}),
    (attempt_again_after_delivered, {"BACK": 1, "unexplained DUP": 1}),
    (deliver_twice_without_a_reason, {"FALSE": 1, "unexplained DUP": 1}),
    (deliver_twice_where_nothing_was_sent, {"GHOST": 1, "unexplained DUP": 1}),
    (deliver_twice_where_sending_was_refused, {"GHOST": 1, "unexplained DUP": 1}),
    (send_beside_an_attempt_that_sent_nothing, {"GHOST": 1, "OVERLAP": 1}),
    (cancel_unasked, {"LOST": 1}),
    (hold_for_an_enabled_webhook, {"LOST": 1}),
    (leave_waiting, {"LOST": 1}),
    (cancel_what_was_received, {"LOST": 1}),
    (fail_without_an_attempt, {"LOST": 1}),
    (fail_after_one_of_three_attempts, {"LOST": 1}),
    (fail_by_interruptions, {"LOST": 1}),
    (fail_by_our_own_refusals, {"LOST": 1}),
    (fail_where_no_failure_is_expected, {"LOST": 1}),
]


@pytest.mark.parametrize(("doctor", "expected"), DOCTORED, ids=[doctor.__name__ for doctor, _ in DOCTORED])
def test_a_doctored_history_is_found_out(doctor: Callable[[History], None], expected: dict[str, int]):
    history = a_history()
    doctor(history)
    assert faults_of(history) == expected


def test_a_repeat_is_explained_by_an_attempt_whose_answer_nobody_saw():
    history = a_history()
    history.repeat("902-3", INTERRUPTED)
    found = history.account()
    assert found.is_clean, found.faults
    assert found.explained_dups == 1


def test_an_attempt_that_was_given_up_explains_the_next_one_beside_it():
    history = a_history()
    history.repeat("902-3", INTERRUPTED)
    history.receipts[-1] = replace(history.receipts[-1], at=3)
    first = next(n for n, one in enumerate(history.receipts) if one.delivery_id == "902-3")
    history.receipts[first] = replace(history.receipts[first], until=5)
    found = history.account()
    assert found.is_clean, found.faults
    assert found.explained_overlaps == 1


def test_an_attempt_that_was_written_off_and_answered_late_explains_the_next_one():
    history = a_history()
    history.repeat("902-3", DELIVERED)
    history.change_row(
        "902-3", attempt_list=(Attempt(1, "delivered", 200, 10, 90), Attempt(2, "delivered", 200, 50, 60))
    )
    assert history.account().is_clean
    assert history.account().explained_dups == 1
    history.change_row(
        "902-3", attempt_list=(Attempt(1, "delivered", 200, 10, 40), Attempt(2, "delivered", 200, 50, 60))
    )
    assert faults_of(history) == {"BACK": 1, "unexplained DUP": 1}
    history.change_row(
        "902-3",
        attempt_list=(Attempt(1, "delivered", 200, 10, 40, has_next=True), Attempt(2, "delivered", 200, 50, 60)),
    )
    assert history.account().is_clean


def test_one_interrupted_attempt_explains_one_repeat_and_no_second():
    history = a_history()
    history.repeat("902-3", INTERRUPTED)
    history.receipts.append(history.receipts[-1])
    refused, delivered = Attempt(2, "connect_refused", None), replace(DELIVERED, number=3)
    history.change_row("902-3", attempts=3, attempt_list=(INTERRUPTED, refused, delivered))
    assert faults_of(history) == {"GHOST": 1, "unexplained DUP": 1}
    assert history.account().explained_dups == 1


@pytest.mark.parametrize("code", sorted(UNANSWERED - {"sending"}))
def test_a_repeat_is_explained_by_every_code_of_a_request_that_may_have_gone_out(code: str):
    history = a_history()
    history.repeat("902-3", Attempt(1, code, None))
    assert history.account().is_clean


def test_codes_of_the_checker_are_codes_of_attempts():
    assert advice.CODES | {"sending"} >= UNANSWERED | NO_FAILURE | OUR_REFUSALS


def test_what_failed_is_not_lost_where_the_run_expects_it_and_the_retry_policy_was_used_up():
    history = a_history()
    end_unasked(history, "failed", replace(INTERRUPTED, number=0), *THREE_FAILURES)
    assert history.account().is_clean, history.account().faults
    end_unasked(history, "failed", *(Attempt(number, "connect_refused", None) for number in (1, 2, 3)))
    assert history.account().is_clean, history.account().faults


def test_an_event_whose_answer_never_came_may_be_stored_or_not():
    history = a_history()
    history.publications[2] = replace(history.publications[2], event_ids=frozenset())
    assert history.account().is_clean
    lost = a_history()
    lost.publications[2] = replace(lost.publications[2], event_ids=frozenset())
    lost.receipts = [one for one in lost.receipts if not one.delivery_id.startswith("903-")]
    lost.log = [one for one in lost.log if one.event_id != 903]
    assert lost.account().is_clean
    assert lost.account().accepted == 2


def test_attempts_are_read_unless_one_attempt_and_one_receipt_explain_each_other():
    row = Logged(901, OF_TEA, TEA, 1, "delivered", 1)
    assert not needs_attempts(row, 1)
    assert needs_attempts(row, 0)
    assert needs_attempts(row, 2)
    assert needs_attempts(replace(row, attempts=2), 1)
    assert needs_attempts(replace(row, status="failed"), 1)


def test_every_kind_of_fault_has_a_doctored_history():
    assert {name for _, expected in DOCTORED for name in expected} == set(FAULTS)
