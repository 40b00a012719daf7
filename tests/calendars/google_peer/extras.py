"""What hangs on an event: its meeting, everybody's own reminders, the mails to its guests."""

from __future__ import annotations

from .state import Asking, Body, Caller, Event, invalid

FOUR_WEEKS = 40320  # in minutes


def confer(asking: Asking, body: Body, sent: Body) -> None:
    """Open the meeting that was asked for, once a request."""
    if sent.get("conferenceData", {}) is None:
        body.pop("conferenceData", None)
        body.pop("hangoutLink", None)
        return
    request = sent.get("conferenceData", {}).get("createRequest")
    if not request:
        return
    kind = request.get("conferenceSolutionKey", {}).get("type")
    if asking.caller.bare or kind != "hangoutsMeet" or not request.get("requestId"):
        raise invalid("Invalid conference type value.")
    known = body.get("conferenceData", {}).get("createRequest", {})
    if known.get("requestId") != request["requestId"]:
        body["conferenceData"] = {"createRequest": {**request, "status": {"statusCode": "pending"}}}
        if not asking.world.meet_pending:
            open_meeting(body)


def open_meeting(body: Body) -> None:
    """Give a meeting that was asked for its link."""
    data = body["conferenceData"]
    data["createRequest"]["status"] = {"statusCode": "success"}
    body["hangoutLink"] = f"https://meet.example/{body['id'][-10:]}"
    data["conferenceId"] = body["id"][-10:]
    data["entryPoints"] = [{"entryPointType": "video", "uri": body["hangoutLink"]}]


def remind(event: Event, caller: Caller, sent: Body, *, whole: bool) -> bool:
    """Keep the caller's own reminders as Google rewrites them; return whether they were spoken of."""
    said = sent.get("reminders")
    if said:
        event.reminders[caller.email] = _rewritten(said)
    elif whole or "reminders" in sent:
        event.reminders.pop(caller.email, None)
    return "reminders" in sent


def _rewritten(said: Body) -> Body:
    overrides = said.get("overrides") or []
    if said.get("useDefault") and overrides:
        raise invalid(
            "Cannot specify both default reminders and overrides at the same time.",
            "cannotUseDefaultRemindersAndSpecifyOverride",
        )
    if len(overrides) > 5:
        raise invalid("Too many reminder overrides.")
    known = [one for one in overrides if one.get("method") in ("popup", "email")]
    kept = {(one["method"], max(0, min(FOUR_WEEKS, int(one["minutes"])))) for one in known}
    alarms = [{"method": method, "minutes": minutes} for method, minutes in sorted(kept)]
    more = {"overrides": alarms} if alarms else {}
    return {"useDefault": bool(said.get("useDefault")), **more}


def mail(asking: Asking, event: Event, kind: str) -> None:
    """Note what Google would send to the guests."""
    if asking.query.get("sendUpdates", "none") != "none":
        about = {"calendar": asking.calendar.id, "event": event.body["id"], "kind": kind}
        guests = event.body.get("attendees", ())
        asking.world.mails += [{**about, "to": guest["email"]} for guest in guests]
