"""The three contracts a plugin can fulfil, and what passes through them.

Every plugin is built as `Plugin(options, kit)`: `options` is an instance of its own `Options` model,
`kit` is all it may touch of the house. Leaves keep no state of their own: what has to outlive a run
goes into a cursor, a memo or `kit.memory`, which are stored with the page or outcome they belong to.
"""

from clinicrelay.contracts.calendars import (
    Calendar,
    EventResult,
    EventWrite,
    Hand,
    Known,
    Look,
    Reach,
    Sighting,
)
from clinicrelay.contracts.connectors import (
    Columns,
    Connector,
    Offer,
    Page,
    Record,
    Stretch,
    Unmade,
    Unreadable,
    Window,
)
from clinicrelay.contracts.kit import (
    ClinicFacts,
    Cursor,
    Finding,
    Kit,
    Memo,
    Outcome,
    Pace,
    Unpaced,
)
from clinicrelay.contracts.notifiers import (
    Absent,
    Attachment,
    CannotTell,
    Found,
    Message,
    Notifier,
    Proof,
    SendResult,
)

__all__ = [
    "Absent",
    "Attachment",
    "Calendar",
    "CannotTell",
    "ClinicFacts",
    "Columns",
    "Connector",
    "Cursor",
    "EventResult",
    "EventWrite",
    "Finding",
    "Found",
    "Hand",
    "Kit",
    "Known",
    "Look",
    "Memo",
    "Message",
    "Notifier",
    "Offer",
    "Outcome",
    "Pace",
    "Page",
    "Proof",
    "Reach",
    "Record",
    "SendResult",
    "Sighting",
    "Stretch",
    "Unmade",
    "Unpaced",
    "Unreadable",
    "Window",
]
