"""What `check --explain` tells: every value, where it comes from, and never a secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clinicrelay import SettingsError
from clinicrelay.settings.origins import Told, explain

Explain = Callable[..., dict[str, Told]]

HEAD = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources: {reception: {type: csv, contents: snapshot}}
"""
SMTP = "notifiers: {mail: {type: smtp, host: %s, password: %s}}\n"
CANARY = "canary-7719"


@pytest.fixture
def told(tmp_path: Path, made_up_plugins: None) -> Explain:
    """Write settings below HEAD and explain them, by path."""

    def told(text: str = "", *, secrets: bool = True, **environ: str) -> dict[str, Told]:
        file = tmp_path / "settings.yaml"
        file.write_text(HEAD + text, encoding="utf-8")
        return {one.path: one for one in explain(file, environ=environ, secrets=secrets)}

    return told


def test_what_is_written_is_told_with_its_place(tmp_path: Path, told: Explain) -> None:
    one = told("store: {lease: 90s}")["store.lease"]

    assert (one.text, one.kind, one.origin) == ("90s", "file", "settings.yaml:4:16")
    assert (one.file, one.line, one.column) == (str(tmp_path / "settings.yaml"), 4, 16)


def test_what_is_not_written_is_told_as_the_default_it_has(tmp_path: Path, told: Explain) -> None:
    values = told()

    for path, text in {
        "safety.hold_if.gone": "10%",
        "safety.hold_if.storm": "5x",
        "quiet_hours.from": '"21:00"',
        "clinic.email": "absent",
        "doctors": "[]",
        "channels.consent.whatsapp": "recorded",
        "sources.reception.window.future": "120d",
        "data": f'"{tmp_path}/var"',
    }.items():
        assert (values[path].text, values[path].origin) == (text, "default")


def test_every_key_of_the_reference_is_told_where_its_section_is_there(told: Explain) -> None:
    values = told(
        SMTP % ("x", "y") + "calendars: {f: {type: ics}}\ndoctors: [{id: a, match: '1'}]\n"
        "reminders: {patient: {confirmation: {}, steps: [{before: 1d}]}, "
        "doctor: {digest: {at: '18:00'}}}\nsafety: {only_recipients: [a@x.example]}"
    )

    assert set(values) >= {
        *(f"clinic.{key}" for key in ("id", "name", "timezone", "country", "language")),
        *(f"notifiers.mail.{key}" for key in ("type", "timeout", "rate", "host", "port", "from")),
        *(f"doctors[0].{key}" for key in ("id", "name", "match", "calendar", "email", "phone")),
        *(f"reminders.patient.steps[0].{key}" for key in ("before", "latest", "channels")),
        *("calendars.f.folder", "reminders.doctor.digest.channels", "retention.bodies"),
    }
    assert not any("options" in path for path in values)


def test_a_step_in_one_word_is_told_with_what_follows_from_it(told: Explain) -> None:
    values = told(SMTP % ("x", "y") + "reminders: {patient: {steps: [3d]}}")

    assert values["reminders.patient.steps[0]"].origin == "settings.yaml:5:31"
    assert values["reminders.patient.steps[0].latest"].text == "36h"
    assert "reminders.patient.steps[0].before" not in values


def test_quiet_hours_that_are_off_are_told_as_written(told: Explain) -> None:
    one = told("quiet_hours: off")["quiet_hours"]

    assert (one.text, one.origin) == ("absent", "settings.yaml:4:14")


def test_a_key_with_nothing_behind_it_is_a_default(told: Explain) -> None:
    values = told('templates: "${X:-}"\nsafety: {max_messages_per_run: }')

    assert values["templates"].origin == "default"
    assert values["safety.max_messages_per_run"].origin == "default"


def test_a_value_from_the_environment_or_dotenv_names_its_variable(
    tmp_path: Path, told: Explain
) -> None:
    (tmp_path / ".env").write_text("CLINICRELAY__LOGGING__LEVEL=debug\n")
    values = told("store: {lease: 90s}", CLINICRELAY__STORE__LEASE="70s")

    assert (values["store.lease"].text, values["store.lease"].kind) == ("70s", "environment")
    assert values["store.lease"].origin == "CLINICRELAY__STORE__LEASE in the environment"
    assert (values["logging.level"].text, values["logging.level"].kind) == ("debug", "dotenv")
    assert values["logging.level"].origin == "CLINICRELAY__LOGGING__LEVEL in .env"


def test_references_are_told_with_where_they_lead(tmp_path: Path, told: Explain) -> None:
    (tmp_path / ".env").write_text("B=b\n")
    (tmp_path / "key").write_text("k")
    values = told(SMTP % ('"${A}.${B}.${C:-c}.${D:-}"', '"${file:key}"'), A="a")

    assert values["notifiers.mail.host"].references == (
        "${A}: environment",
        "${B}: .env",
        "${C}: the default written here",
        "${D}: nothing",
    )
    assert values["notifiers.mail.password"].origin == (
        f"settings.yaml:4:76, ${{file:key}}: {tmp_path}/key"
    )


@pytest.mark.parametrize("secret", [CANARY, '"${S}"', '"${file:key}"', '"${N:-canary-7719}"'])
def test_a_secret_is_never_told_wherever_it_comes_from(
    tmp_path: Path, told: Explain, secret: str
) -> None:
    (tmp_path / "key").write_text(CANARY)
    values = told(
        SMTP % ("x", secret) + f"store: {{url: 'postgresql://u:{CANARY}@h/n'}}",
        S=CANARY,
        CLINICRELAY__STORE__INSTANCE_KEY=CANARY,
    )

    assert values["notifiers.mail.password"].secret
    assert values["store.instance_key"].secret
    assert values["store.url"].text == "postgresql://u:…@h/n"
    assert CANARY not in repr(values).replace("${N:-canary-7719}", "")


def test_the_password_in_an_address_from_the_environment_is_not_told(told: Explain) -> None:
    one = told(CLINICRELAY__STORE__URL=f"mysql://u:{CANARY}@h/n")["store.url"]

    assert one.text == "mysql://u:…@h/n"


def test_what_a_reference_leads_to_is_told_only_where_no_secret_can_stand(told: Explain) -> None:
    values = told(
        SMTP
        % ('"${HOST}"', "x")
        + "store: {url: '${URL}', lease: '${LEASE}'}\nsafety: {hold_if: {gone: '${GONE}'}}\n"
        "logging: {file: '${FILE}'}\n"
        "calendars: {f: {type: ics, event: {domains: ['${DOMAIN}', x.example]}}}",
        HOST=CANARY,
        URL=f"sqlite:///{CANARY}",
        LEASE="90s",
        GONE="5%",
        FILE="a.log",
        DOMAIN=CANARY,
    )

    assert values["notifiers.mail.host"].value == "${HOST}"
    assert values["store.url"].value == "${URL}"
    assert values["store.lease"].value == "90s"
    assert values["safety.hold_if.gone"].value == "5%"
    assert values["logging.file"].value == "a.log"
    assert CANARY not in repr(values)


def test_of_settings_that_cannot_stand_what_is_written_is_told(told: Explain) -> None:
    values = told(
        SMTP % ("'${HOST}'", CANARY) + f"store: {{lease: soon}}\nnotify: {{pasword: {CANARY}}}\n",
        HOST=CANARY,
    )

    assert (values["store.lease"].text, values["store.lease"].origin) == (
        "soon",
        "settings.yaml:5:16",
    )
    assert values["notify.pasword"].secret  # nobody knows what it is
    assert values["notifiers.mail.host"].value == "${HOST}"
    assert "retention.bodies" not in values
    assert CANARY not in repr(values)


def test_without_secrets_nothing_is_followed(told: Explain) -> None:
    one = told(SMTP % ("x", "'${S}'"), secrets=False, S=CANARY)["notifiers.mail.password"]

    assert one.references == ("${S}: not followed",)


def test_what_names_people_is_marked(told: Explain) -> None:
    values = told(
        "doctors: [{id: a, name: Dr. A, match: {reception: '1'}, email: a@x.example}]\n"
        "safety: {only_recipients: [a@x.example]}"
    )
    personal = {path for path, one in values.items() if one.personal}

    assert personal == {"doctors[0].name", "doctors[0].email", "safety.only_recipients"}


def test_a_file_that_cannot_be_read_cannot_be_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        explain(tmp_path / "gone.yaml", environ={})


def test_text_that_is_no_yaml_has_no_values(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("a: [")

    assert explain(tmp_path / "settings.yaml", environ={}) == []
