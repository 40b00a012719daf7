"""Keeps to the clinic's `rate`: a message waits a little for its turn, or is left to another run."""

from __future__ import annotations

from clinicrelay import Kit, Outcome, SendResult
from clinicrelay.pace import LONGEST


def turn(kit: Kit) -> SendResult | None:
    """Wait for this message's turn; return what it is where it does not come in time."""
    wait = kit.pace.take("messages")
    if wait <= LONGEST and kit.rest(wait.total_seconds()):
        return None
    detail = "No more messages may leave for now, as the settings say."
    return SendResult(Outcome.NOT_SENT, "rate", None, wait, detail, pause=wait)
