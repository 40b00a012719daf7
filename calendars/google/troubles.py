"""Why events cannot be written, each with the sentence to send to whoever can mend it.

The words in the code column are Google's own, from the guides "Handle API errors" and "Using OAuth 2.0
for Server to Server Applications" and from what the token endpoint was seen to answer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from clinicrelay import EventResult, Finding, Outcome

_SHARE = (
    "Ask the doctor: Google Calendar > Settings > the calendar > Shared with > Add {account} > "
    '"Make changes to events".'
)
_NEW_KEY = "In the Google Cloud console make a new key for {account} and put it into credentials."
_LATER = "Nothing to do: the next run tries again."


class _Kind(NamedTuple):
    message: str
    fix: str
    everywhere: bool = False
    pause: timedelta | None = None


_KINDS = {
    "not_shared": _Kind("the calendar is not shared with {account}", _SHARE),
    "own_calendar": _Kind(
        "this is the account's own calendar, which nobody looks at",
        "Write the address of the doctor's calendar: Google Calendar > Settings > the calendar > "
        "Integrate calendar > Calendar ID.",
    ),
    "read_only": _Kind("{account} may only read this calendar ({role})", _SHARE),
    "no_private_access": _Kind(
        "{account} may write, but private events come back without details ({role})",
        'Ask the doctor to choose "Make changes to events" (role writer) for {account}; the '
        "variant without private events is not enough.",
    ),
    "no_such_calendar": _Kind(
        "Google knows no calendar of this address",
        "Correct the doctor's `calendar` in the settings: their own address in the clinic's domain.",
    ),
    "unknown_user": _Kind(
        "Google knows no user of this address",
        "Correct the doctor's `calendar`: in mode delegated it is the doctor's own address in the "
        "Workspace domain.",
    ),
    "no_token": _Kind(
        "no refresh token is set for this calendar",
        "Let the doctor give their consent, and write the token under `tokens`.",
    ),
    "token_revoked": _Kind(
        "the doctor's consent has ended or was withdrawn",
        "Let the doctor give their consent again, and write the new token under `tokens`. Tokens "
        'of an app in "testing" end after seven days: publish the app.',
    ),
    "no_delegation": _Kind(
        "{account} may not act for users of the domain",
        "Ask the Workspace administrator: Admin console > Security > API controls > Domain-wide "
        "delegation > Add client {client}, scope {scope}. It can take a day to hold.",
        everywhere=True,
    ),
    "account_key": _Kind("Google does not accept the key of {account}", _NEW_KEY, everywhere=True),
    "account_unknown": _Kind(
        "Google knows no account {account}",
        "It was deleted or disabled: in the Google Cloud console enable it, or make a new one with "
        "a new key, and share the calendars with it.",
        everywhere=True,
    ),
    "clock": _Kind(
        "the clock of this machine is wrong, so Google refuses to log us in",
        "Set the clock: let the machine keep its time by NTP.",
        everywhere=True,
    ),
    "scope": _Kind(
        "{account} is not allowed to use calendars",
        "Allow the scope {scope} where the account got its rights.",
        everywhere=True,
    ),
    "api_disabled": _Kind(
        "the Google Calendar API is switched off in the project of {account}",
        "In the Google Cloud console: APIs & Services > Library > Google Calendar API > Enable.",
        everywhere=True,
    ),
    "login_refused": _Kind(
        "Google does not log {account} in ({code})",
        "clinicrelay check --connect; if it stays, make a new key.",
        everywhere=True,
    ),
    "usage_limit": _Kind(
        "Google lets nothing more be written for some hours (calendar usage limits)",
        "Nothing to do: it is tried again by itself. If it comes back, too much is written at once.",
        everywhere=True,
        pause=timedelta(minutes=15),
    ),
    "quota": _Kind("Google's quota is used up for now", _LATER),
    "run_ended": _Kind("the run was told to end", _LATER),
    "unreachable": _Kind("Google does not answer ({code})", _LATER),
}


class Facts(NamedTuple):
    """What sentences name: no person, only the account, what it asks for, and what was answered."""

    account: str = ""
    client: str = ""
    scope: str = ""
    role: str = ""
    code: str = ""


def trouble(reason: str, facts: Facts, *, pause: timedelta | None = None) -> EventResult:
    """Return why a calendar, or every calendar of the account, takes nothing for now."""
    kind = _KINDS[reason]
    named = facts._asdict()
    return EventResult(
        "",
        Outcome.NOT_SENT,
        reason=reason,
        detail=kind.message.format(**named),
        fix=kind.fix.format(**named),
        retry_after=pause or kind.pause,
        blocks=True,
        everywhere=kind.everywhere,
    )


def finding(trouble: EventResult) -> Finding:
    """Return a trouble as `check` tells it."""
    return Finding("error", trouble.reason, trouble.detail, trouble.fix)
