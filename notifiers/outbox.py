"""Messages as files in a folder: `.eml` for e-mail, `.txt` for SMS; nothing leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from clinicrelay import (
    Absent,
    Attempt,
    CannotTell,
    Channel,
    Finding,
    Found,
    Leftover,
    Message,
    Notifier,
    Outcome,
    SendResult,
    files,
    phones,
)
from clinicrelay.contracts import Proof
from clinicrelay.sms import segments
from notifiers import _mail

_FIX = "Make the folder writable for the user that runs clinicrelay, or name another one."


class Options(BaseModel):
    """What settings may say of `type: outbox`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(
        default=Path("outbox"),
        description="Where the messages go, one file each; relative to the data folder.",
    )


class Outbox(Notifier):
    """Writes what would be sent, so that a person can read it before anything is."""

    Options = Options
    channels = (Channel.EMAIL, Channel.SMS, Channel.WHATSAPP)
    outside = False
    connects = False

    @property
    def folder(self) -> Path:
        """Where the files are."""
        folder: Path = self.kit.folder / self.options.folder
        return folder

    def send(self, message: Message) -> SendResult:
        """Write the message; the same attempt written again is the same file."""
        try:
            content = self._mail(message) if _is_mail(message) else _short(message)
        except _mail.BadAddress as error:
            return SendResult(Outcome.REJECTED, "address_invalid", detail=str(error))
        try:
            # Names and numbers stand inside: for the owner's eyes.
            files.replace(self.folder / file_name(message), content, mode=0o600)
        except OSError as error:
            detail = f"{self.folder}: {error.strerror or type(error).__name__}. {_FIX}"
            return SendResult(Outcome.NOT_SENT, "folder_not_writable", detail=detail)
        return SendResult(Outcome.ACCEPTED, provider_id=file_name(message))

    def lookup(self, attempt: Attempt) -> Proof:
        """Look for the file: it is there whole or not at all."""
        message = attempt.message
        name = file_name(message)
        if (self.folder / name).is_file():
            return Found(name)
        # An attempt that was begun at another moment has another date in its name.
        ending = name.partition(_label(message.kind or "message"))[2]
        other = next(self.folder.glob(f"*{ending}"), None)
        if other:
            return Found(other.name)
        return CannotTell() if attempt.written_anew and self._has_others(attempt) else Absent()

    def _has_others(self, attempt: Attempt) -> bool:
        """Whether messages to the same person were written since that nobody knows."""
        begun = attempt.begun_at.timestamp() - 1
        return any(
            path.stat().st_mtime >= begun
            and not attempt.is_known(path.name)
            and attempt.message.to.encode() in path.read_bytes()
            for path in self.folder.glob(f"*-{attempt.message.channel.value}-*")
        )

    def check(self) -> Iterator[Finding]:
        reason = files.why_not_writable(self.folder)
        if reason:
            yield Finding("error", "folder_not_writable", f"Outbox: {reason}.", _FIX)

    def left(self) -> Iterator[Leftover]:
        for path in sorted(self.folder.glob("*.*")):
            if (named := _OURS.fullmatch(path.name)) and path.is_file():
                yield Leftover(path, _when(named[1], path))

    def holds(self, path: Path, mentions: Callable[[str], bool]) -> bool:
        return mentions(_told(path))

    def cut(self, path: Path, mentions: Callable[[str], bool]) -> None:
        path.unlink(missing_ok=True)  # one message is one person's

    def _mail(self, message: Message) -> bytes:
        clinic = self.kit.clinic
        domain = f"{_label(clinic.id)}.clinicrelay"
        address = _mail.travelling(clinic.email or f"noreply@{domain}")
        own = _mail.Mailbox(address, clinic.name)
        mail = _mail.compose(
            message,
            sender=_sender(message.sender) if message.sender else own,
            domain=domain,
            date=message.written_at or self.kit.now,
            answers_to=own if clinic.email else None,
        )
        return mail.as_bytes()


# Only what has such a name is ours to delete: see `file_name`.
_OURS = re.compile(r"(\d{8}T\d{6}Z|undated)-[a-z0-9-]+-(?:email|sms|whatsapp)-[^/]+\.(?:eml|txt)")


def _when(stamp: str, path: Path) -> datetime:
    if stamp == "undated":
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _told(path: Path) -> str:
    """Return what a file says, to whom included, in readable letters."""
    content = path.read_bytes()
    if path.suffix != ".eml":
        return content.decode("utf-8", "replace")
    from email import message_from_bytes, policy

    mail = message_from_bytes(content, policy=policy.default)
    parts = [str(value) for value in mail.values()]
    for part in mail.walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            parts.append(payload.decode("utf-8", "replace"))
    return "\n".join(parts)


def _sender(text: str) -> _mail.Mailbox:
    try:
        return _mail.mailbox(text)
    except _mail.BadAddress as error:
        fix = "mend `from` in the settings"
        raise _mail.BadAddress(f"the sender is not one plain e-mail address; {fix}") from error


def file_name(message: Message) -> str:
    """Return the name of a message's file: when, what, how and which attempt, never who."""
    when = message.written_at
    parts = (
        when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") if when else "undated",
        _label(message.kind or "message"),
        message.channel.value,
        _mail.opaque(message.id),
    )
    return f"{'-'.join(parts)}.{'eml' if _is_mail(message) else 'txt'}"


def _is_mail(message: Message) -> bool:
    return message.channel is Channel.EMAIL


def _short(message: Message) -> bytes:
    if not phones.is_e164(message.to):
        raise _mail.BadAddress("the recipient is not a number such as +4930123456")
    encoding, count = segments(message.text)
    head = (
        f"To: {message.to}\nChannel: {message.channel.value}\n"
        f"Language: {_mail.one_line(message.language)}\nSegments: {count} ({encoding})\n\n"
    )
    return (head + message.text).encode("utf-8", "replace")


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
