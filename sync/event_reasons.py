"""The reason codes of events and of the calendars that they are written to."""

from __future__ import annotations

from sync.codes import About, Reason

_E = About.EVENT


def _mend(says: str, to_do: str, setting: str = "") -> Reason:
    """Return what keeps a calendar from being written until somebody mends it."""
    return Reason(_E, says, to_do, setting, ours=True)


EVENTS: dict[str, Reason] = {
    "folder_not_writable": Reason(
        _E,
        "the folder cannot be written",
        "Let the user that runs clinicrelay write there.",
        "calendars.NAME.folder",
        ours=True,
    ),
    "new_doctor_unmapped": _mend(
        "the settings name no calendar for this practitioner, and the source says none",
        "Add the practitioner with a calendar under doctors: clinicrelay doctors prints the lines.",
        "doctors",
    ),
    "doctor_calendar_unlinked": _mend(
        "the doctor stands in the settings without a calendar of this kind",
        "Write the doctor's calendar beside their name under doctors: clinicrelay doctors",
        "doctors",
    ),
    "no_practitioner": Reason(
        _E,
        "the visit names no practitioner, so it belongs into nobody's calendar",
        "Enter the practitioner in the source.",
    ),
    "not_shared": Reason(
        _E,
        "the calendar is not shared with clinicrelay",
        "clinicrelay check --connect",
        "doctors",
        ours=True,
    ),
    "hidden_by_doctor": Reason(
        _E,
        "the doctor deleted the event, so it stays away until the visit gets another time",
        "Nothing; deletes: restore brings such events back.",
        "calendars.NAME.if_doctor.deletes",
    ),
    "moved_too_often": Reason(
        _E,
        "the doctor moved the event again each time it was put back, so it is left where it is",
        "Ask the doctor, and move the visit in the source; clinicrelay verify calendars",
        "calendars.NAME.if_doctor.moves",
        ours=True,
    ),
    "edited_meanwhile": Reason(
        _E,
        "somebody changed the event each time it was to be written; it is tried again",
        "Nothing, unless it lasts.",
    ),
    "waits_for_other": Reason(
        _E,
        "it stays until the calendar that is to show the visit instead can be written",
        "See why that one cannot: clinicrelay status",
        ours=True,
    ),
    "left_there": Reason(
        _E,
        "nobody could take the event from its calendar any more, and a person said to leave it there",
        "Nothing: whoever has the calendar can delete it.",
    ),
    "other_instance": Reason(
        _E,
        "events of another installation, or of this one with another key, are in the calendar",
        "Say what they are: clinicrelay verify calendars --adopt, --replace or --beside",
        ours=True,
    ),
    "our_mistake": Reason(
        _E,
        "a mistake of ours ended the work on the calendar; it is tried again",
        "Please report it: the run that met it says what happened.",
        ours=True,
    ),
    "own_calendar": _mend(
        "the address is the account's own calendar, which nobody looks at",
        "Write the address of the doctor's calendar in the settings.",
        "doctors",
    ),
    "read_only": _mend(
        "the account may only read the calendar",
        "Ask the doctor to share it with the right to make changes to events.",
        "doctors",
    ),
    "no_private_access": _mend(
        "the account may write, but does not get private events back",
        "Ask the doctor to share it with the right to make changes to events, private ones too.",
        "doctors",
    ),
    "no_such_calendar": _mend(
        "there is no calendar of this address",
        "Correct the doctor's calendar in the settings.",
        "doctors",
    ),
    "unknown_user": _mend(
        "there is no user of this address",
        "Correct the doctor's calendar in the settings.",
        "doctors",
    ),
    "no_token": _mend(
        "the doctor has not given their consent",
        "Let the doctor give it, and write the token into the settings.",
        "calendars.NAME.tokens",
    ),
    "token_revoked": _mend(
        "the doctor's consent has ended or was withdrawn",
        "Let the doctor give it again, and write the new token into the settings.",
        "calendars.NAME.tokens",
    ),
    "no_delegation": _mend(
        "the account may not act for users of the domain",
        "Ask the domain's administrator for domain-wide delegation: clinicrelay check --connect",
        "calendars.NAME.mode",
    ),
    "account_key": _mend(
        "the account's key is not accepted",
        "Make a new key: clinicrelay check --connect",
        "calendars.NAME.credentials",
    ),
    "account_unknown": _mend(
        "the account was deleted or disabled",
        "Enable it, or make another one and share the calendars with it.",
        "calendars.NAME.credentials",
    ),
    "clock": _mend(
        "the clock of this machine is wrong, so nobody logs it in", "Let it keep its time by NTP."
    ),
    "scope": _mend(
        "the account is not allowed to use calendars",
        "Allow the scope where the account got its rights: clinicrelay check --connect",
    ),
    "api_disabled": _mend(
        "the calendar's interface is switched off for the account",
        "Switch it on: clinicrelay check --connect",
    ),
    "login_refused": _mend(
        "the account is not logged in",
        "clinicrelay check --connect; if it stays, make a new key.",
        "calendars.NAME.credentials",
    ),
    "usage_limit": _mend(
        "nothing more may be written for some hours",
        "Nothing: it is tried again by itself.",
    ),
    "quota": Reason(
        _E,
        "no more calls may be made for now",
        "Nothing: the next run goes on.",
        "calendars.NAME.quota",
    ),
    "run_ended": Reason(_E, "the run was told to end", "Nothing: the next run goes on."),
}
