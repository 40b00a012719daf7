"""Every metric there is: its name, its labels and what it says; the reference page is made from this.

All are gauges, none is a counter: they are read from the store, which forgets (`retention`), so that
any of them may go down. What happened is counted over the last 24 hours. No label holds an address, a
key, a name of a person or a telephone number.
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "clinicrelay_"


class Measure(NamedTuple):
    """One metric. Every one has the label `clinic`, and `labels` beside it."""

    name: str
    labels: tuple[str, ...]
    says: str


class Group(NamedTuple):
    """Metrics that are about one matter."""

    heading: str
    measures: tuple[Measure, ...]


GROUPS = (
    Group(
        "The clinic",
        (
            Measure(
                "store_readable",
                (),
                "1 where the store could be read; 0 where not, with all but `build_info` missing",
            ),
            Measure("build_info", ("version",), "always 1; the version of clinicrelay"),
            Measure("store_schema", (), "version of the store's schema"),
            Measure(
                "mode",
                ("mode",),
                "1 for the one of rehearsal, live and paused that the clinic is in, else 0",
            ),
            Measure(
                "needs_person",
                ("about",),
                "things that need a person and are told by alerts, whether anybody is told or not",
            ),
            Measure("alerts_open", ("about",), "alerts that were told and are not over"),
            Measure("alerts_unsent", ("reason",), "alerts that are due and reached nobody, by why"),
            Measure(
                "backup_last_success_timestamp_seconds",
                (),
                "when `clinicrelay store backup` last made a copy; missing until then",
            ),
        ),
    ),
    Group(
        "Runs",
        (
            Measure(
                "run_last_finished_timestamp_seconds",
                ("command",),
                "when a run of sync, send or worker last came to its end, however it ended",
            ),
            Measure("run_last_exit_code", ("command",), "the exit code that it ended with"),
            Measure("run_last_duration_seconds", ("command",), "how long it took"),
            Measure(
                "run_last_started_timestamp_seconds",
                ("command",),
                "when a run last began; later than the end: one is at work, or was killed",
            ),
        ),
    ),
    Group(
        "Sources",
        (
            Measure(
                "source_last_success_timestamp_seconds",
                ("source",),
                "when it was last read completely; missing until then",
            ),
            Measure(
                "source_stale",
                ("source",),
                "1 where it was not read completely for longer than `stale_after`, else 0",
            ),
            Measure("source_stale_after_seconds", ("source",), "how long that is"),
            Measure(
                "source_state",
                ("source", "state"),
                "1 for the one of ok, new, partial, failed, held and stale that it is in, else 0",
            ),
            Measure("source_records", ("source",), "records that its last complete read brought"),
            Measure(
                "source_watermark_timestamp_seconds",
                ("source",),
                "up to which time its changes were read, where its watermark is a time",
            ),
            Measure(
                "quarantine_records",
                ("kind", "source", "reason"),
                "records, events and messages that are set aside, by reason code",
            ),
            Measure("guard_held", ("source", "guard"), "holds that wait for a person"),
            Measure("guard_held_visits", ("source", "guard"), "visits that they are about"),
        ),
    ),
    Group(
        "Messages",
        (
            Measure(
                "messages_24h",
                ("state", "reason", "kind", "notifier"),
                "messages that were sent, skipped, failed or are unproven since 24 hours, by reason "
                "code; what provider_rejected and its like have in brackets is left out",
            ),
            Measure(
                "messages_unknown",
                ("notifier",),
                "messages of which it is not known yet whether they left",
            ),
            Measure("messages_held", (), "messages that wait for a person, as too many fell due"),
            Measure(
                "messages_due",
                ("reason",),
                "messages that are due and have not left, by why they wait; without a reason the "
                "next run looks at them",
            ),
            Measure(
                "messages_due_oldest_seconds",
                ("reason",),
                "for how long the oldest of them has been due",
            ),
            Measure(
                "visits_waiting",
                (),
                "visits that changed or whose hour has come, and that no run has looked at yet; "
                "10000 stands for more",
            ),
            Measure(
                "visits_waiting_oldest_seconds",
                (),
                "for how long the one of them whose hour came first has been waiting",
            ),
            Measure(
                "notifier_barred",
                ("notifier",),
                "1 where it could send nothing when it was last tried, else 0",
            ),
            Measure(
                "notifier_barred_since_timestamp_seconds",
                ("notifier", "reason"),
                "since when; missing where it sends",
            ),
            Measure("notifier_paused", ("notifier",), "1 where a person paused it, else 0"),
        ),
    ),
    Group(
        "Tomorrow",
        (
            Measure("coverage_tomorrow_booked", (), "booked visits of the clinic's next day"),
            Measure(
                "coverage_tomorrow_visits",
                (),
                "those that were looked at: all of them, of thousands an even share",
            ),
            Measure("coverage_tomorrow_covered", (), "those whose patient is told in time"),
            Measure("coverage_tomorrow_explained", (), "those whose patient is not, for a reason"),
            Measure(
                "coverage_tomorrow_open",
                (),
                "those of which nobody is reminded although nobody decided so",
            ),
        ),
    ),
    Group(
        "Calendars",
        (
            Measure(
                "calendars",
                ("calendar", "reason"),
                "doctors' calendars that are in use, by why they cannot be written; without a reason: "
                "they can",
            ),
            Measure(
                "events",
                ("calendar", "state"),
                "events that are to be written or removed (pending), refused (blocked), deleted by a "
                "doctor (hidden) or moved too often (held)",
            ),
            Measure(
                "events_pending_oldest_seconds",
                ("calendar",),
                "for how long the oldest event that is to be written has been waiting",
            ),
        ),
    ),
)

MEASURES = {one.name: one for group in GROUPS for one in group.measures}
