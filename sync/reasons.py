"""Every reason code there is: what it means to the clinic's staff, what to do, and what decides it.

Codes are kept with each message, event, record and hold. `clinicrelay why` speaks these sentences,
and the reference page of reason codes is generated from this table.
"""

from __future__ import annotations

from sync.codes import About, Reason
from sync.event_reasons import EVENTS

_M, _R, _V = About.MESSAGE, About.RECORD, About.VISIT
_NOTHING = "Nothing: this is as it should be."
_SOURCE = "Correct the record in the source; the next sync takes it up by itself."

REASONS: dict[str, Reason] = {
    # --- the person cannot, must not or need not be reached ----------------------------------
    "no_contact": Reason(
        _M,
        "the source has no address for any allowed channel",
        "Enter a phone number or an e-mail address in the source, of a kind that a notifier sends to.",
        "channels.order",
    ),
    "invalid_contact": Reason(
        _M,
        "the phone number or e-mail address in the source cannot be used",
        "Correct the phone number or e-mail address in the source.",
        "channels.order",
    ),
    "minor_no_guardian": Reason(
        _M,
        "the patient is a minor, and the source has no address of a guardian, nor of their own",
        "Enter a guardian's phone number or e-mail address in the source.",
        "reminders.patient.guardian_until",
    ),
    "opted_out": Reason(
        _M,
        "the person has opted out of this channel",
        "Respect it; if they change their mind, record the consent in the source.",
    ),
    "stop_received": Reason(
        _M,
        "the person told the provider that they want no more messages, such as by STOP",
        "Respect it. If they change their mind they write START to the same number, or to you: "
        "clinicrelay contacts list",
        "clinicrelay contacts",
    ),
    "not_opted_in": Reason(
        _M,
        "this channel wants recorded consent and there is none",
        "Record the consent in the source, or set channels.consent for this channel to implied.",
        "channels.consent",
    ),
    "channel_off": Reason(
        _M,
        "no channel is open: the settings switch off what it could take",
        "Allow another channel under channels, or say under consent that this one may be used.",
        "channels",
        ours=True,
    ),
    "no_notifier": Reason(
        _M,
        "no notifier of the settings sends on this channel",
        "Name a notifier for the channel under notifiers, or take the channel out of channels.order: "
        "what waits for it leaves then, or is skipped.",
        "channels",
        ours=True,
    ),
    "deceased": Reason(_M, "the source says that the patient has died", _NOTHING),
    "test_patient": Reason(
        _M, "the source says that this is a test patient, who stands for nobody", _NOTHING
    ),
    "only_recipients": Reason(
        _M,
        "the address is not among those that messages are restricted to",
        "Delete safety.only_recipients once the trial is over.",
        "safety.only_recipients",
        ours=True,
    ),
    "cap_reached": Reason(
        _M,
        "the person got as many confirmations and reminders as one may, on a day or in a week",
        "If it is too few for your patients, raise safety.caps.",
        "safety.caps",
    ),
    # --- it is no longer true ----------------------------------------------------------------
    "cancelled": Reason(_M, "the visit was cancelled before it was due", _NOTHING),
    "reinstated": Reason(_M, "the visit is on again, so its cancellation was not told", _NOTHING),
    "gone": Reason(
        _M,
        "the visit vanished from its source without a cancellation",
        "If it was cancelled, cancel it in the source instead of deleting it, or set on_gone: true.",
        "reminders.patient.on_gone",
    ),
    "unscheduled": Reason(_M, "the visit has no time", "Give it a time in the source."),
    "not_booked": Reason(
        _M,
        "the visit is only asked for, not booked",
        "Confirm it in the source; reminders start then.",
    ),
    "already_arrived": Reason(_M, "the patient has arrived already", _NOTHING),
    "no_show": Reason(
        _M,
        "the patient did not come, as the source says",
        "Nothing, unless they did come: then correct the status in the source.",
    ),
    "superseded_by_reschedule": Reason(
        _M, "the visit was moved; the new time is told instead", _NOTHING
    ),
    "as_told": Reason(
        _M, "the visit is again as the person knows it, so there is nothing to tell", _NOTHING
    ),
    "not_on_visit": Reason(_M, "the person is no longer named in the visit", _NOTHING),
    "given_to_another": Reason(
        _M,
        "the visit was given to another patient after this one knew of it",
        "Call whoever had it before: no message tells them.",
    ),
    "entered_in_error": Reason(
        _M, "the source says that the visit never was", _NOTHING, "reminders.patient.on_cancel"
    ),
    "minor_change": Reason(
        _M,
        "the change is too small for a message of its own",
        "Nothing: the next reminder says it.",
    ),
    # --- it is no longer useful --------------------------------------------------------------
    "already_sent": Reason(_M, "the person has been told the same already", _NOTHING),
    "told_recently": Reason(
        _M,
        "the person was told about this visit shortly before",
        _NOTHING,
    ),
    "told_together": Reason(
        _M,
        "the reminder of another visit of that person on that day told of this one too",
        _NOTHING,
    ),
    "superseded_by_later_step": Reason(
        _M,
        "a reminder nearer to the visit is due as well",
        _NOTHING,
    ),
    "late_booking": Reason(
        _M,
        "the visit was booked, moved or first read after this reminder's time",
        _NOTHING,
    ),
    "cut_off_passed": Reason(
        _M,
        "it could not leave in time and would be of no use now",
        "If many show this, run sync or send more often.",
    ),
    "past_visit": Reason(
        _M,
        "the visit has begun or is over",
        "If many show this, run sync or send more often.",
    ),
    "outside_policy": Reason(
        _M, "the settings say that this is not told", "Switch it on if wanted.", "reminders.patient"
    ),
    "alert_over": Reason(
        _M, "what it was to tell was over before it could leave", _NOTHING, "monitoring.alerts"
    ),
    "alert_no_way": Reason(
        _M,
        "there is no other notifier of its channel to tell that this one is out of use",
        "Add another notifier for e-mail; `clinicrelay status` says what is wrong.",
        "monitoring.alerts",
        ours=True,
    ),
    "alert_not_told": Reason(
        _M, "nobody was told that it had begun, so nobody is told that it is over", _NOTHING
    ),
    # --- it waits ----------------------------------------------------------------------------
    "quiet_hours_deferred": Reason(
        _M, "it waits for the end of quiet hours", "Nothing: it leaves by itself.", "quiet_hours"
    ),
    "paused": Reason(
        _M, "messages are paused", "clinicrelay resume", "clinicrelay pause", ours=True
    ),
    "source_stale": Reason(
        _M,
        "its source was silent for too long: reminders and digests wait until it is read again",
        "Mend the source: clinicrelay check --connect",
        "sources.NAME.stale_after",
        ours=True,
    ),
    "change_held": Reason(
        _M,
        "a guard holds something of the visit that would make it wrong: reminders wait for a decision",
        "clinicrelay held list",
        "safety.hold_if",
        ours=True,
    ),
    "not_asked_yet": Reason(
        _M,
        "its source is asked first whether the visit still stands, and had too many to answer for",
        "Nothing: it leaves by itself. Read the source oftener, or ask less: verify_before_send: off.",
        "sources.NAME.verify_before_send",
    ),
    "same_in_flight": Reason(
        _M,
        "another message that says the same may have arrived; that is found out first",
        "Nothing: it is found out by itself.",
    ),
    "awaiting_approval": Reason(
        _M,
        "too many messages fell due at once; a person has to look",
        "clinicrelay held list",
        "safety.max_messages_per_run",
        ours=True,
    ),
    "rejected": Reason(_M, "a person decided not to send it", _NOTHING, "clinicrelay held reject"),
    "rehearsal": Reason(
        _M,
        "the clinic was in rehearsal: it was only written to the rehearsal folder",
        "clinicrelay live patients",
        "clinicrelay live patients",
        ours=True,
    ),
    # --- the provider ------------------------------------------------------------------------
    "provider_rejected": Reason(
        _M,
        "the provider refused it for good",
        "Correct the address in the source, or see what the provider says about the code.",
        ours=True,
    ),
    "address_invalid": Reason(_M, "the notifier cannot write to this address", _SOURCE),
    "address_unsupported": Reason(
        _M,
        "the address has letters that the mail server cannot handle",
        "Enter another address in the source, or use a mail server that knows SMTPUTF8.",
    ),
    "address_refused": Reason(
        _M, "the provider or mail server cannot reach this address or number", _SOURCE
    ),
    "landline": Reason(
        _M,
        "the number is a landline, which gets no SMS",
        "Enter a mobile number or an e-mail address in the source.",
    ),
    "region_off": Reason(
        _M,
        "the provider's account may not send to this country",
        "Allow the country in the provider's console.",
        "notifiers.NAME",
        ours=True,
    ),
    "blocked": Reason(
        _M, "the number or its carrier blocks the sender", "Reach the person another way."
    ),
    "handset_unreachable": Reason(
        _M,
        "the telephone was off or out of reach",
        "Nothing, unless it happens again: it may pass. Call the person if it matters.",
    ),
    "undelivered": Reason(
        _M,
        "it was accepted and did not arrive",
        "Correct a wrong address in the source: the next sync says it there. Else reach the person.",
    ),
    "no_receipt": Reason(
        _M,
        "it was accepted, and in time nobody could say that it arrived: it takes another channel",
        "Nothing; where carriers never say so, and all get two messages: when_no_receipt: nothing.",
        "notifiers.NAME.when_no_receipt",
    ),
    "not_on_whatsapp": Reason(
        _M, "the number is not on WhatsApp", "Nothing: other channels are used where allowed."
    ),
    "template_refused": Reason(
        _M,
        "the provider does not take its template or the values for it",
        "Correct the template's id, and compare its values with the reference.",
        "notifiers.NAME.templates",
        ours=True,
    ),
    "template_required": Reason(
        _M,
        "outside a conversation WhatsApp takes only approved templates",
        "Name a template for this message under templates.",
        "notifiers.NAME.templates",
        ours=True,
    ),
    "refused": Reason(
        _M,
        "the provider refused this one message",
        "See what the provider says about its code.",
    ),
    "mailbox_full": Reason(_M, "the recipient's mailbox is full", "Reach the person another way."),
    "content_refused": Reason(
        _M,
        "the provider or mail server refused the text, as spam or by a rule of its own",
        "Ask whoever runs the service which rule it was.",
    ),
    "too_large": Reason(
        _M,
        "the message is larger than the provider or mail server allows",
        "Shorten the clinic's own texts.",
    ),
    "unreachable": Reason(
        _M,
        "the notifier's server cannot be reached or does not answer; it is tried again",
        "Nothing, unless it lasts: clinicrelay check --connect",
        "notifiers.NAME.host",
    ),
    "server_busy": Reason(
        _M,
        "the notifier's server asked to come back later; it is tried again",
        "Nothing, unless it lasts: clinicrelay check --connect",
    ),
    "rate": Reason(
        _M,
        "the provider, or `rate` of the notifier, lets no more messages leave for now",
        "Nothing: it leaves by itself.",
        "notifiers.NAME.rate",
    ),
    "tls_refused": Reason(
        _M,
        "the mail server offers no encryption as the settings want it",
        "clinicrelay check --connect",
        "notifiers.NAME.security",
        ours=True,
    ),
    "certificate_refused": Reason(
        _M,
        "the certificate of the notifier's server cannot be trusted",
        "clinicrelay check --connect",
        "notifiers.NAME.ca",
        ours=True,
    ),
    "credentials_refused": Reason(
        _M,
        "the notifier's server does not take the login",
        "clinicrelay check --connect",
        "notifiers.NAME",  # each provider calls what it logs in with otherwise
        ours=True,
    ),
    "sender_refused": Reason(
        _M,
        "the login may not send from this address",
        "Write an address under from that the login may use, or have it allowed.",
        "notifiers.NAME.from",
        ours=True,
    ),
    "account_refused": Reason(
        _M,
        "the notifier's server does not let this machine or login send",
        "clinicrelay check --connect",
        "notifiers.NAME",
        ours=True,
    ),
    "quota_used_up": Reason(
        _M,
        "the account may send no more for now; it is tried again every hour",
        "Ask whoever runs the service for a higher limit; `rate` keeps to one.",
        "notifiers.NAME.rate",
        ours=True,
    ),
    "refuses_everyone": Reason(
        _M,
        "the notifier's server refuses everyone, several people in a row with one and the same answer",
        "Ask whoever runs the service; `clinicrelay why` shows its answer. It is tried again.",
        "notifiers.NAME",
        ours=True,
    ),
    "not_sent": Reason(
        _M, "the provider could not be reached; it is tried again", "Nothing, unless it lasts."
    ),
    "absence_proven": Reason(
        _M, "the provider never got it; it is sent again", "Nothing: it leaves by itself."
    ),
    "answer_lost": Reason(
        _M,
        "the provider's answer was lost; it is asked before anything is sent again",
        "Nothing: it is found out by itself.",
    ),
    "unknown": Reason(
        _M,
        "nobody knows yet whether it arrived; the provider is asked",
        "Nothing: it is found out by itself.",
    ),
    "unproven_repeated": Reason(
        _M,
        "the answer was lost and nobody can say whether it arrived, so it is sent once more",
        "Nothing: the person has it now, perhaps twice.",
    ),
    "unproven_not_repeated": Reason(
        _M,
        "the answer was lost and nobody can say whether it arrived; it is not sent twice",
        "Call the person if it matters; a later reminder leaves as usual.",
    ),
    "unproven_twice": Reason(
        _M,
        "it was sent twice, and both times the answer was lost",
        "Call the person.",
    ),
    "restored": Reason(
        _M,
        "the store was put back from a copy, and this may have been sent before; it is being found out",
        "Nothing: it is found out by itself.",
    ),
    "restored_found": Reason(
        _M,
        "it was sent before the store was put back from a copy: the provider has it",
        "Nothing: the person has it.",
    ),
    "restored_absent": Reason(
        _M,
        "the store was put back from a copy, and the provider never had it; it is sent",
        "Nothing: it leaves by itself.",
    ),
    "restored_unproven": Reason(
        _M,
        "the store was put back from a copy, and nobody can say whether it was sent before; it is not "
        "sent again",
        "Call the person if it matters, or: clinicrelay resume --resend-unproven",
    ),
    **EVENTS,
    # --- visits ------------------------------------------------------------------------------
    "not_known": Reason(
        _V,
        "no source has named it in the days that are read",
        "Look for it in the source, and whether its day is one of those that are read.",
    ),
    "erased": Reason(_V, "the patient was erased, and is told nothing any more", _NOTHING),
    "no_patient": Reason(
        _V,
        "no patient is named: it only keeps time free, so there is nobody to tell",
        "Nothing, unless somebody is to come: then name the patient in the source.",
    ),
    "source_deleted": Reason(
        _V, "the source no longer has it", "Nothing, unless that is a mistake of the source."
    ),
    "imported": Reason(
        _V,
        "it was there at the first read or when the clinic went live, so everybody counts as told of it",
        "Nothing: later changes are told, and reminders fall due as usual.",
    ),
    "mended": Reason(
        _V,
        "its record was set aside when it came, and taken in once that was mended",
        "Nothing: reminders fall due as usual. Call the person if they had to be told of it.",
    ),
    "held": Reason(
        _V,
        "a guard holds a change to it for a person",
        "clinicrelay held list",
        "safety.hold_if",
        ours=True,
    ),
    # --- records that were set aside ---------------------------------------------------------
    "missing": Reason(_R, "a field that must be filled is empty", _SOURCE),
    "unknown_status": Reason(
        _R,
        "the status is a word that the mapping does not know",
        "Add the word to the status table of the mapping.",
        "mapping: fields.status.table",
    ),
    "bad_time": Reason(_R, "the time cannot be read", _SOURCE),
    "bad_date": Reason(_R, "the date cannot be read in the order of its file", _SOURCE),
    "ambiguous_date": Reason(
        _R,
        "the date can be read in two ways",
        "Say how dates are written: dates: dmy (or mdy, ymd).",
        "sources.NAME.dates",
    ),
    "unknown_timezone": Reason(_R, "the time zone is no IANA name", _SOURCE),
    "unreadable_flag": Reason(_R, "a yes-or-no cell is neither", _SOURCE),
    "too_long": Reason(_R, "a key is too long to be told apart from others", _SOURCE),
    "bad_shape": Reason(
        _R,
        "the record is built in another way than the mapping expects",
        "Correct the path in the mapping: clinicrelay map NAME SAMPLE",
    ),
    "duplicate_key": Reason(
        _R,
        "two records with one key say different things",
        "Leave one of the two in the source.",
        "sources.NAME.duplicates",
    ),
    "stray_quote": Reason(_R, "a quotation mark stands where it should not", _SOURCE),
    "missing_cell": Reason(_R, "the row has fewer cells than the header", _SOURCE),
    "extra_cell": Reason(_R, "the row has more cells than the header", _SOURCE),
    "truncated": Reason(_R, "the file ends within this record", "Export the file again."),
    "unknown_op": Reason(
        _R, "the row's operation is unknown", "Write insert, update or delete in the source."
    ),
    "older_file": Reason(
        _R,
        "changes that were written before those that were read last",
        "Export these visits again.",
    ),
    "no_operation": Reason(
        _R,
        "a delta file has no column that says what became of each row",
        "Add it, or set contents to snapshot or append.",
        "sources.NAME.contents",
    ),
    "empty_file": Reason(_R, "the file holds nothing", "Export it again."),
    "not_csv": Reason(_R, "the file is no CSV", "Export it again as CSV."),
    "no_header": Reason(
        _R,
        "no line of the file names the columns that the mapping needs",
        "Export with column names, or write a mapping that knows them.",
        "sources.NAME.mapping",
    ),
    "manifest_mismatch": Reason(
        _R, "the manifest beside the file is of another file", "Send both again."
    ),
}


def base(code: str) -> str:
    """Return a code without what stands in brackets behind it: provider_rejected(30005)."""
    return code.partition("(")[0]


def reason(code: str) -> Reason:
    """Return what a code means; a plugin's own code explains itself by its name."""
    return REASONS.get(base(code)) or Reason(
        About.MESSAGE, base(code).replace("_", " "), "See what the system that said so documents."
    )


def in_words(code: str) -> str:
    """Return what a code means in words for staff, with the provider's own code where there is one."""
    _, bracket, inner = code.partition("(")
    said = inner.removesuffix(")")
    known = REASONS.get(_cause(code)) if bracket else None
    if known is not None:
        said = f"{said.rpartition(':')[0]}: {known.says}".removeprefix(": ")
    return reason(code).says + (f" (it said {said})" if bracket else "")


def to_do(code: str) -> str:
    """Return what to do about a code: of a refusal, about what the provider said."""
    return (REASONS.get(_cause(code)) or reason(code)).to_do


def advice(code: str) -> str:
    """Return what to do about a code as a sentence among others."""
    what = to_do(code)
    return what if what.endswith(".") else f"{what}."


def _cause(code: str) -> str:
    """Return the code that a provider's answer means: `provider_rejected(21610: opted_out)`."""
    inner = code.partition("(")[2].removesuffix(")").rpartition(":")[2].strip()
    return "stop_received" if inner == "opted_out" else inner


def setting_of(
    code: str | None, said: str = "", notifier: str | None = None, source: str | None = None
) -> str:
    """Return the setting that decided: the reason's own, else the one that wanted the message.

    What was said is kept where it only names the reason's own more exactly, or knows which one it is.
    """
    own = reason(code).setting if code else ""
    setting = said if not own or _is_more_exact(said, own) else own
    for room, name in (("notifiers", notifier), ("sources", source)):
        if name:
            setting = setting.replace(f"{room}.NAME", f"{room}.{name}")
    room, unnamed, _ = setting.partition(".NAME")
    if not unnamed:
        return setting
    return said if said.startswith(f"{room}.") else room


def _is_more_exact(said: str, own: str) -> bool:
    """Whether a setting lies under the reason's own: a key of it, or a step's own list of channels."""
    of_channels = own.startswith("channels") and said.endswith(".channels")
    return said.startswith((f"{own}.", f"{own} ")) or of_channels
