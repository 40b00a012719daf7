"""A preview shows what will be sent."""

from __future__ import annotations

from dataclasses import replace

from clinicrelay.model import Channel
from clinicrelay.testing import CLINIC, NOW
from sync.previews import kinds, previews
from sync.words import Words

ADDRESS = "Uferstrasse 5, 13357 Berlin"


def test_the_clinics_address_stands_in_a_mail_and_in_no_sms() -> None:
    words = Words("en", replace(CLINIC, address=ADDRESS), None)
    kind = next(kind for kind in kinds(words) if kind.name == "reminder")
    for channel, shown in ((Channel.EMAIL, True), (Channel.SMS, False), (Channel.WHATSAPP, False)):
        (one,) = previews(words, kind, channel, None, zone=CLINIC.timezone, now=NOW)
        assert (ADDRESS in one.rendered.text) is shown
