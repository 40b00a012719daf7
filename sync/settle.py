"""settle: finds out what became of attempts whose end nobody knows, before anything is sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.contracts import Absent, Found, Outcome, SendResult
from sync.send import MessageRun, conclude, pause
from sync.store import said

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.leases import Lease
    from sync.store.said import Open


def settle(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Ask each notifier about its open attempts.

    Called under the lease of sending, so an attempt that is open here has no living sender. Proof
    of acceptance counts as sent, proof of absence lets it go again; without proof nothing is sent.
    """
    with clinic.store.read() as connection:
        attempts = said.open_attempts(connection, clinic.store.clinic, now=clinic.now)
    for attempt in attempts:
        if attempt.notifier in clinic.settings.notifiers:
            conclude(clinic, lease, attempt.due, attempt.body, _found_out(clinic, attempt), run)


def _found_out(clinic: Clinic, attempt: Open) -> SendResult:
    proof = clinic.notifier(attempt.notifier).lookup(attempt.body)
    if isinstance(proof, Found):
        return SendResult(Outcome.ACCEPTED, provider_id=proof.provider_id)
    if isinstance(proof, Absent):
        at_once = timedelta(0)  # it never left
        return SendResult(Outcome.NOT_SENT, "absence_proven", retry_after=at_once)
    return SendResult(
        Outcome.UNKNOWN, "answer_lost", retry_after=proof.retry_after or pause(attempt.due.tries)
    )
