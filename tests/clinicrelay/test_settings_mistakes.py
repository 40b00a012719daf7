"""What a person is told about a mistake: where it is, what it is, and what would be right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clinicrelay import Finding

Mistakes = Callable[..., list[Finding]]

CLINIC = "version: 1\nsources: {reception: {type: csv, contents: snapshot}}\nclinic:\n"
GOOD = "  id: a\n  name: A\n  timezone: Europe/Berlin\n  country: DE\n  language: de\n"
OUT = "notifiers: {outbox: {type: outbox}}\n"

# text | line, column | path | a word of the message | a word of the remedy
GOLDEN = [
    # keys
    ("stor: {}", 4, 1, "stor", "unknown key 'stor'", "'store'"),
    ("store: {urll: x}", 4, 9, "store.urll", "unknown key", "'url'"),
    ("zzz: 1", 4, 1, "zzz", "unknown key", "known here are version"),
    ("timezone: UTC", 4, 1, "timezone", "unknown key", "belongs under 'clinic'"),
    ("notifierz:", 4, 1, "notifierz", "unknown key", "'notifiers'"),
    (
        "store: {lease: 5m, lease: 6m}",
        4,
        20,
        "store.lease",
        "second time, first on line 4",
        "keep one",
    ),
    ("data: !!binary aGk=", 4, 7, "data", "tags", "quotes"),
    ("<<: {data: x}", 4, 1, "", "merge keys", "write the keys out"),
    ("monitoring: {metrics: x}", 4, 23, "monitoring.metrics", "with a port", "127.0.0.1:9464"),
    (
        "monitoring: {alerts: {to: [it@clinic.example], via: post}}",
        4,
        53,
        "monitoring.alerts.via",
        "there is no notifier 'post'",
        "add a notifier",
    ),
    (
        "notifiers: {outbox: {type: outbox}}\nmonitoring: {alerts: {to: [it@clinic], via: outbox}}",
        5,
        28,
        "monitoring.alerts.to[0]",
        "e-mail",
        "name@",
    ),
    (
        "notifiers: {outbox: {type: outbox}}\nmonitoring: {alerts: {to: [], via: outbox}}",
        5,
        27,
        "monitoring.alerts.to",
        "at least 1",
        "add to the list",
    ),
    ("monitoring: {textfile: x.txt}", 4, 24, "monitoring.textfile", ".prom", "x.prom"),
    (
        "monitoring: {heartbeat: http://hc.example/x}",
        4,
        25,
        "monitoring.heartbeat",
        "encr",
        "https",
    ),
    ("monitoring: {heartbeat: {sync: x}}", 4, 32, "monitoring.heartbeat.sync", "address", "copy"),
    ("monitoring: {heartbeat: {snd: x}}", 4, 26, "monitoring.heartbeat.snd", "unknown", "'send'"),
    ("monitoring: {heartbeat: [x]}", 4, 25, "monitoring.heartbeat", "", ""),
    ("callbacks: {url: relay.clinic.example}", 4, 18, "callbacks.url", "not an address", "https"),
    ("callbacks: {url: http://relay.example}", 4, 18, "callbacks.url", "readable", "https://"),
    ("callbacks: {url: https://a:b@relay.example}", 4, 18, "callbacks.url", "login", "delete"),
    ("callbacks: {url: https://relay.example/?k=1}", 4, 18, "callbacks.url", "before ?", "delete"),
    ("callbacks: {url: https://my_relay.example}", 4, 18, "callbacks.url", "underscore", "name"),
    ("runner: {broker: x}", 4, 18, "runner.broker", "another kind", "amqps:"),
    ('runner: {broker: "amqp://h?heartbeat=1"}', 4, 18, "runner.broker", "too much", "amqps:"),
    ('runner: {queue: "a b"}', 4, 17, "runner.queue", "not allowed", "match"),
    ("runner: {ca: none.pem}", 4, 14, "runner.ca", "no file", "correct"),
    ("runners: {broker: x}", 4, 1, "runners", "unknown key", "'runner'"),
    # the clinic
    (
        CLINIC + GOOD.replace("  name: A\n", ""),
        3,
        1,
        "clinic.name",
        "'name' is missing",
        "name: River",
    ),
    (
        CLINIC + GOOD.replace("name: A", "name:"),
        5,
        3,
        "clinic.name",
        "'name' is empty",
        "name: River",
    ),
    (
        CLINIC + GOOD.replace("Europe/Berlin", "CET"),
        6,
        13,
        "clinic.timezone",
        "IANA",
        "Europe/Berlin",
    ),
    (CLINIC + GOOD.replace("Europe/Berlin", "UTC+1"), 6, 13, "clinic.timezone", "summer", "a city"),
    (CLINIC + GOOD.replace("Berlin", "Berln"), 6, 13, "clinic.timezone", "IANA", "Europe/Berlin"),
    (CLINIC + GOOD.replace("DE", "Germany"), 7, 12, "clinic.country", "ISO 3166", "write DE"),
    (CLINIC + GOOD.replace("DE", "UK"), 7, 12, "clinic.country", "ISO 3166", "write GB"),
    (CLINIC + GOOD.replace("DE", "false"), 7, 12, "clinic.country", "quote this", '"false"'),
    (CLINIC + GOOD.replace("de", "de_DE"), 8, 13, "clinic.language", "language tag", "de-DE"),
    (CLINIC + GOOD.replace("name: A", "name: '  '"), 5, 9, "clinic.name", "empty", "write some"),
    (CLINIC + GOOD.replace("id: a", "id: 0017"), 4, 7, "clinic.id", "quote this", '"0017"'),
    (CLINIC + GOOD.replace("id: a", "id: My Clinic"), 4, 7, "clinic.id", "file names", "my_clinic"),
    (
        CLINIC + GOOD + "  phone: +493012345678",
        9,
        10,
        "clinic.phone",
        "quote this",
        '"+493012345678"',
    ),
    (
        CLINIC + GOOD + '  phone: "030 12345678"',
        9,
        10,
        "clinic.phone",
        "international",
        '"+493012345678"',
    ),
    (CLINIC + GOOD + "  email: nobody", 9, 10, "clinic.email", "e-mail address", "name@"),
    # versions
    ("version: 2\nclinic: {}", 1, 10, "version", "version 1", "newer clinicrelay"),
    ("version: '1'\nclinic: {}", 1, 10, "version", "version 1", "write `version: 1`"),
    ("version:\nclinic: {}", 1, 1, "version", "'version' is empty", "write `version: 1`"),
    ("clinic: {}", 1, 1, "version", "'version' is missing", "add `version: 1`"),
    # values
    ('quiet_hours: {from: 21:00, to: "08:00"}', 4, 21, "quiet_hours.from", "quote this", '"21:00"'),
    (
        'quiet_hours: {from: 1260, to: "08:00"}',
        4,
        21,
        "quiet_hours.from",
        "unquoted 21:00",
        '"21:00"',
    ),
    (
        "quiet_hours: {from: 21, to: 8}",
        4,
        21,
        "quiet_hours.from",
        "21 is a number",
        'write "21:00"',
    ),
    ("quiet_hours: {from: 21, to: 8}", 4, 29, "quiet_hours.to", "8 is a number", 'write "08:00"'),
    (
        OUT + "reminders: {doctor: {digest: {at: 18}}}",
        *(5, 35, "reminders.doctor.digest.at", "unquoted 18:00", 'write "18:00"'),
    ),
    (
        'quiet_hours: {from: "9 pm", to: "08:00"}',
        4,
        21,
        "quiet_hours.from",
        "time of day",
        '"21:00"',
    ),
    ("store: {lease: 15x}", 4, 16, "store.lease", "'15x' is not a duration", "15m"),
    ("store: {lease: 15}", 4, 16, "store.lease", "15 has no unit", "15s, 15m"),
    ("retention: {bodies: 9999999h}", 4, 21, "retention.bodies", "hundred years", "30d"),
    ("store: {url: oracle://x}", 4, 14, "store.url", "database", "sqlite:///"),
    ("safety: {hold_if: {gone: 10}}", 4, 26, "safety.hold_if.gone", "share", "sign"),
    ("safety: {hold_if: {storm: often}}", 4, 27, "safety.hold_if.storm", "factor", "5x"),
    (
        "safety: {max_messages_per_run: many}",
        4,
        32,
        "safety.max_messages_per_run",
        "whole",
        "digits",
    ),
    (
        "safety: {max_messages_per_run: true}",
        4,
        32,
        "safety.max_messages_per_run",
        "not num",
        "whole",
    ),
    (
        "safety: {max_messages_per_run: 0}",
        4,
        32,
        "safety.max_messages_per_run",
        "at least 1",
        "1 or",
    ),
    ("safety: {only_recipients: []}", 4, 27, "safety.only_recipients", "names nobody", "delete"),
    ("safety: {only_recipients: }", 4, 10, "safety.only_recipients", "names nobody", "delete"),
    (
        "safety: {only_recipients: [030123]}",
        4,
        28,
        "safety.only_recipients[0]",
        "quote this",
        '"030123"',
    ),
    ("logging: {level: loud}", 4, 18, "logging.level", "one of debug, info", "write debug"),
    ("logging: {level: worning}", 4, 18, "logging.level", "one of", "write warning"),
    ("logging: debug", 4, 10, "logging", "section", "key: value"),
    (OUT + "reminders: {patient: {steps: 1d}}", 5, 30, "reminders.patient.steps", "list", "[1d]"),
    (
        OUT + "reminders: {patient: {steps: [1d, soon]}}",
        5,
        35,
        "reminders.patient.steps[1]",
        "'soon'",
        "6h",
    ),
    (
        OUT + "reminders: {patient: {steps: [1d, {before: 1h, latest: 2h}]}}",
        *(5, 56, "reminders.patient.steps[1].latest", "nearer to the visit", "less than 1h"),
    ),
    (
        OUT + "reminders: {patient: {steps: [1d, 1h, 1d]}}",
        *(5, 39, "reminders.patient.steps[2]", "the time of 1d above", "{before: 1d, channels"),
    ),
    (
        OUT + "reminders: {doctor: {steps: [90m, {before: 1h30m, channels: [sms]}]}}",
        *(5, 35, "reminders.doctor.steps[1]", "silence each other", "delete one of the two"),
    ),
    (
        OUT + "channels: {order: []}",
        *(5, 19, "channels.order", "at least 1", "or delete `order`"),
    ),
    (
        OUT + "reminders: {patient: {steps: [{before: 1d, channels: []}]}}",
        *(5, 54, "reminders.patient.steps[0].channels", "at least 1", "or delete `channels`"),
    ),
    (
        OUT + "reminders: {patient: {confirmation: {channels: []}}}",
        *(5, 48, "reminders.patient.confirmation.channels", "at least 1", "or delete `channels`"),
    ),
    (
        OUT + 'reminders: {doctor: {digest: {at: "18:00", channels: []}}}',
        *(5, 54, "reminders.doctor.digest.channels", "at least 1", "or delete `channels`"),
    ),
    (
        OUT + "reminders: {patient: {on_gone: maybe}}",
        5,
        32,
        "reminders.patient.on_gone",
        "switch",
        "true",
    ),
    (
        "calendars: {files: {type: ics, event: {detail: full}}}",
        *(4, 39, "calendars.files.event", "personal data", "phi_acknowledged"),
    ),
    # plugins
    ("notifiers: {a: {type: smpt}}", 4, 23, "notifiers.a.type", "'smpt'", "write smtp"),
    ("notifiers: {a: {type: pigeon}}", 4, 23, "notifiers.a.type", "'pigeon'", "types are outbox"),
    ("calendars: {a: {type: paper}}", 4, 23, "calendars.a.type", "'paper'", "types are ics"),
    ("notifiers: {a: {host: x}}", 4, 13, "notifiers.a.type", "'type' is missing", "type: smtp"),
    ("notifiers: {a: {type: smtp}}", 4, 13, "notifiers.a.host", "'host' is missing", "add"),
    (
        "notifiers: {a: {type: smtp, host: x, prot: 1}}",
        4,
        38,
        "notifiers.a.prot",
        "unknown",
        "'port'",
    ),
    (
        "notifiers: {a: {type: smtp, host: x, options: 1}}",
        4,
        38,
        "notifiers.a.options",
        "unknown",
        "host",
    ),
    ("notifiers: {a: {type: smtp, host: 7}}", 4, 35, "notifiers.a.host", "quote this", '"7"'),
    ("notifiers: {a: {type: smtp, host: x, rate: fast}}", 4, 44, "notifiers.a.rate", "rate", "5/s"),
    ("notifiers: {A B: {type: outbox}}", 4, 13, "notifiers.A B", "small letters", "write a_b"),
    (
        "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: DE, language: de}\n"
        "sources: {a: {type: csv, contents: delta, auth: {kind: token, token: 5, x: 1}}}",
        *(3, 70, "sources.a.auth.token", "quote this", "in quotes"),
    ),
    # what the parts say together
    (
        "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: DE, language: de}",
        *(1, 1, "sources", "no source", "type: csv"),
    ),
    (
        "doctors: [{id: a, match: {recepton: '1'}}]",
        4,
        27,
        "doctors[0].match.recepton",
        "no source",
        "'recep",
    ),
    (
        "doctors: [{id: a, match: '1', calendar: {g: x}}]",
        4,
        42,
        "doctors[0].calendar.g",
        "no cal",
        "add a",
    ),
    ("doctors: [{id: a, match: 22}]", 4, 26, "doctors[0].match", "quote this", '"22"'),
    (
        "doctors: [{id: a, match: '1'}, {id: a, match: '2'}]",
        *(4, 37, "doctors[1].id", "above already", "of its own"),
    ),
    (
        "doctors: [{id: a, match: '1'}, {id: b, match: '1'}]",
        *(4, 47, "doctors[1].match", "a above is this practitioner", "correct its match"),
    ),
    (
        "doctors: [{id: a, match: {reception: '1'}}, {id: b, match: {reception: '1'}}]",
        *(4, 72, "doctors[1].match.reception", "a above is this", "delete one of the two"),
    ),
    (
        "doctors: [{id: a, match: '1'}, {id: b, match: {reception: '1'}}]",
        *(4, 59, "doctors[1].match.reception", "a above is this", "delete one of the two"),
    ),
    ("doctors: [{id: a, match: ''}]", 4, 19, "doctors[0].match", "must not be empty", "write some"),
    (
        "doctors: [{id: a, match: {reception: ' '}}]",
        *(4, 38, "doctors[0].match.reception", "must not be empty", "write something"),
    ),
    (
        OUT + "channels: {sms: [twilio]}",
        5,
        18,
        "channels.sms[0]",
        "no notifier 'twilio'",
        "one of outbox",
    ),
    (
        "notifiers: {mail: {type: smtp, host: x}}\nchannels: {sms: [mail]}",
        *(5, 18, "channels.sms[0]", "mail does not send sms", "add a notifier"),
    ),
    (
        "notifiers: {mail: {type: smtp, host: x}}\n"
        "reminders: {patient: {steps: [{before: 1d, channels: [sms]}]}}",
        *(
            5,
            55,
            "reminders.patient.steps[0].channels[0]",
            "no notifier sends sms",
            "outbox or twilio_sms",
        ),
    ),
    ("reminders: {patient: {steps: [1d]}}", 4, 13, "reminders.patient", "no notifier", "outbox"),
    (
        OUT + "reminders: {patient: {confirmation: {channels: [sms], invite: true}}}",
        *(5, 63, "reminders.patient.confirmation.invite", "by e-mail", "add email"),
    ),
    # references
    ("data: ${NOWHERE}", 4, 7, "data", "NOWHERE is not set", ".env"),
    ("data: ${file:gone.txt}", 4, 7, "data", "no file gone.txt", "create"),
    ("data: ${A", 4, 7, "data", "without its }", "$${"),
    ("data: ${A-b}", 4, 7, "data", "not understood", "${NAME:-default}"),
    # YAML
    ("store: {url: ${STORE_URL}}", 4, 14, "", "quote this", '"${STORE_URL}"'),
    ("store:\n\turl: x", 5, 1, "", "tab", "spaces"),
    ("data: a: b", 4, 8, "", "colon", "quotes"),
    ("data: *.csv", 4, 7, "", "alias", '"*.csv"'),
    ("data: @x", 4, 7, "", "must not begin", "quotes"),
    ("data: 'x", 4, 7, "", "not closed", "close"),
    ("store: {url: x\ndata: y", 5, 5, "", "bracket", "close the bracket"),
    ("data\nstore: {}", 4, 1, "", "neither", "after the colon"),
    ("data: x\n---\nversion: 1", 5, 1, "", "second document", "delete"),
    ('data: "\\q"', 4, 9, "", "backslash", "'…'"),
    ("data: \x01", 4, 7, "", "unprintable", "again"),
    ("data: &a [*a]", 1, 1, "", "nested too deeply", "levels"),
]


@pytest.mark.parametrize(("text", "line", "column", "path", "message", "fix"), GOLDEN)
def test_a_mistake_is_told_with_its_place_and_its_remedy(
    mistakes: Mistakes, text: str, line: int, column: int, path: str, message: str, fix: str
) -> None:
    found = next((f for f in mistakes(text) if f.path == path), None)

    assert found, f"nothing is said about {path}"
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert fix in found.fix
    assert found.file.endswith("settings.yaml")


def test_all_mistakes_are_told_at_once_and_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes(
        "version: 1\n"
        "clinic: {id: A, timezone: CET, country: DE, language: de}\n"
        "sources: {reception: {type: csv, contents: all, gone_after: never}}\n"
        "notifiers: {out: {type: outbox}}\n"
        "doctors: [{id: a, match: {nowhere: '1'}}]\n"
        "reminders: {patient: {steps: [1d, 2x]}}\n"
        "data: ${NOWHERE}\n"
    )

    assert [f.path for f in found] == [
        "clinic.name",
        "clinic.id",
        "clinic.timezone",
        "sources.reception.contents",
        "sources.reception.gone_after",
        "doctors[0].match.nowhere",
        "reminders.patient.steps[1]",
        "data",
    ]


def test_a_broken_notifier_is_no_reason_to_say_that_nobody_sends(mistakes: Mistakes) -> None:
    found = mistakes("notifiers: {a: {type: smpt}}\nreminders: {patient: {steps: [1d]}}\n")

    assert [f.path for f in found] == ["notifiers.a.type"]


def test_two_sources_must_not_share_an_inbox(mistakes: Mistakes) -> None:
    head = "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: DE, language: de}\n"
    found = mistakes(
        head + "sources:\n  a: {type: csv, contents: delta}\n"
        "  b: {type: csv, contents: delta, inbox: drops/../drops/a}\n"
    )

    assert [(f.path, f.line, f.column) for f in found] == [("sources.b.inbox", 5, 42)]
    assert "b and a read the same folder" in found[0].message


def test_a_digest_wants_a_notifier_for_its_default_channel(mistakes: Mistakes) -> None:
    found = mistakes(
        'notifiers: {sms: {type: twilio_sms}}\nreminders: {doctor: {digest: {at: "18:00"}}}\n'
    )

    assert [f.message for f in found] == ["no notifier sends email"]
    assert found[0].line == 5


def test_what_is_wrong_in_the_environment_is_said_of_the_variable(mistakes: Mistakes) -> None:
    found = mistakes("", CLINICRELAY__STORE__LEASE="soon", CLINICRELAY__STOR__URL="x")

    assert {f.path: f.line for f in found} == {"store.lease": 0, "stor": 0}
    assert all("from the environment variable CLINICRELAY__STOR" in f.message for f in found)
    assert not any("soon" in f.message + f.fix for f in found)


def test_a_secret_is_in_no_message_whatever_is_wrong_with_it(mistakes: Mistakes) -> None:
    canary = "canary-7719"
    found = mistakes(
        "notifiers:\n"
        f"  a: {{type: smtp, host: x, port: {canary}x, password: 771988}}\n"
        "  b: {type: smtp, host: x, timeout: '${LEAK}', rate: '${LEAK}', port: '${LEAK}'}\n"
        "  c: {type: '${LEAK}'}\n"
        "clinic2: '${LEAK}'\n"
        "channels: {email: ['${LEAK}']}\n"
        "doctors: [{id: '${LEAK}', match: '1'}, {id: '${LEAK}', match: '1'}]\n",
        LEAK=canary,
        CLINICRELAY__STORE__LEASE=canary,
    )

    told = "\n".join(f"{f.path} {f.message} {f.fix}" for f in found)
    assert len(found) >= 7
    assert canary not in told
    assert "771988" not in told


@pytest.mark.parametrize(
    "line",
    [
        "password: *hunter22",
        "password: @hunter22",
        "a: !hunter22 b",
        "a: 'hunter22",
        "a: hunter22: b",
    ],
)
def test_text_that_is_not_yaml_is_not_repeated(mistakes: Mistakes, line: str) -> None:
    assert not any("hunter22" in f.message + f.fix for f in mistakes(line + "\n"))


def test_an_unquoted_reference_does_not_hide_the_other_mistakes(
    mistakes: Callable[..., list[Finding]],
) -> None:
    found = mistakes(
        """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: EST, country: DE, language: de}
sources:
  reception: {type: csv, contents: snapshot, inbox: ${INBOX}}
colour: red
"""
    )
    places = sorted((f.line, f.column) for f in found)
    assert places == [(2, 52), (4, 53), (5, 1)], found
