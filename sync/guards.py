"""Every guard there is: when it strikes, what it leaves undone, and the setting with its limit.

The reference page of reason codes lists them from this table.
"""

from __future__ import annotations

from typing import NamedTuple


class Guard(NamedTuple):
    """When a guard holds something back, what then was not done, and where its limit is."""

    strikes: str
    undone: str
    setting: str


GUARDS: dict[str, Guard] = {
    "gone": Guard(
        "known visits are missing from a whole read, or deleted by it",
        "removed",
        "safety.hold_if.gone",
    ),
    "cancelled": Guard(
        "known visits are cancelled in one read", "cancelled", "safety.hold_if.cancelled"
    ),
    "rescheduled": Guard(
        "known visits are moved in one read", "moved", "safety.hold_if.rescheduled"
    ),
    "shifted": Guard(
        "known visits are moved by one and the same time, as by a wrong time zone",
        "moved",
        "safety.hold_if.shifted",
    ),
    "reassigned": Guard(
        "known visits are given to another practitioner or patient in one read",
        "given to others",
        "safety.hold_if.reassigned",
    ),
    "reinstated": Guard(
        "visits that were cancelled or gone are back in one read",
        "brought back",
        "safety.hold_if.reinstated",
    ),
    "set_aside": Guard(
        "records of one read cannot be understood: all that it changes of known visits is held",
        "known changed",
        "safety.hold_if.set_aside",
    ),
    "storm": Guard(
        "messages fall due at once, more than usual or than `safety.max_messages_per_run`: the "
        "surplus is held",
        "sent of the surplus",
        "safety.hold_if.storm",
    ),
    "unlinked": Guard(
        "events would leave a calendar though their visits stand, as nobody of theirs is linked to it",
        "removed",
        "safety.hold_if.unlinked",
    ),
}
