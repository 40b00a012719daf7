"""Where settings are found, what is filled into them, and what they are once they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from clinicrelay import Channel, SettingsError
from clinicrelay.settings import Loaded, find_file, load
from clinicrelay.settings.places import SYSTEM_FILE
from clinicrelay.settings.schema import Store

Read = Callable[..., Loaded]
OUT = "notifiers: {outbox: {type: outbox}}\n"
SMTP = "notifiers: {mail: {type: smtp, host: smtp.riverside.example, password: %s}}\n"

# Who may read a file is asked of the file system alone, which Windows answers otherwise.
posix = pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")


def codes(loaded: Loaded) -> list[str]:
    return [finding.code for finding in loaded.findings]


# --- the file --------------------------------------------------------------------------------


def test_the_named_file_goes_before_the_variable_and_that_before_the_folder(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.yaml", "b.yaml", "settings.yaml")]
    for file in files:
        file.touch()
    environ = {"CLINICRELAY_SETTINGS": str(files[1])}

    assert find_file(files[0], environ, tmp_path) == files[0]
    assert find_file(None, environ, tmp_path) == files[1]
    assert find_file(None, {}, tmp_path) == files[2]


def test_without_any_file_it_is_said_where_one_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=str(SYSTEM_FILE)) as refused:
        find_file(None, {}, tmp_path)

    assert "clinicrelay init" in refused.value.findings[0].fix


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"", "empty", (1, 1)),
        (b"# only a comment\n", "empty", (1, 1)),
        (b"- a\n- b\n", "wrong_type", (1, 1)),
        (b"just words\n", "wrong_type", (1, 1)),
        (b"version: 1\nclinic: {name: Pr\xe9\n", "encoding", (2, 18)),
        ("version: 1\n".encode("utf-16"), "encoding", (1, 1)),
        (b"[\n" * 1500, "syntax", (1, 1)),
    ],
)
def test_a_file_that_is_no_settings_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, code: str, place: tuple[int, int]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)

    with pytest.raises(SettingsError) as refused:
        load(file, environ={})

    [finding] = refused.value.findings
    assert (finding.code, (finding.line, finding.column)) == (code, place)
    assert finding.fix


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "x.yaml", "there is no file"), (tmp_path, "is a folder")):
        with pytest.raises(SettingsError, match=words):
            load(path, environ={})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path, read: Read) -> None:
    read()
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert load(file, environ={}).settings.clinic.id == "riverside"


def test_equal_files_have_equal_digests(read: Read) -> None:
    first = read().digest

    assert read().digest == first
    assert read("data: elsewhere").digest != first


# --- what they are -----------------------------------------------------------------------------


def test_what_is_not_written_protects_and_says_nothing(read: Read) -> None:
    settings = read().settings

    assert settings.quiet_hours
    assert (settings.quiet_hours.start, settings.quiet_hours.end) == (time(21), time(8))
    assert (settings.reminders.patient, settings.reminders.doctor) == (None, None)
    assert settings.safety.hold_if.gone == 0.1
    assert settings.safety.only_recipients is None
    assert settings.retention.bodies.text == "30d"


def test_a_key_with_nothing_behind_it_means_its_default(read: Read) -> None:
    settings = read("quiet_hours:\nstore:\nsafety: {hold_if: , max_messages_per_run: }").settings

    assert settings.quiet_hours
    assert settings.safety.max_messages_per_run == 500


def test_steps_are_words_or_sections(read: Read) -> None:
    text = "reminders: {patient: {steps: [3d, {before: 1h, latest: 20m, channels: [sms]}]}}"
    patient = read(OUT + text).settings.reminders.patient

    assert patient
    assert [step.name for step in patient.steps] == ["3d", "1h"]
    assert [step.latest for step in patient.steps] == [timedelta(hours=36), timedelta(minutes=20)]
    assert patient.steps[1].channels == (Channel.SMS,)


def test_consent_that_is_not_mentioned_keeps_its_default(read: Read) -> None:
    consent = read("channels: {consent: {sms: off}}").settings.channels.consent

    assert consent == {
        Channel.SMS: "off",
        Channel.WHATSAPP: "recorded",
        Channel.EMAIL: "implied",
    }


@pytest.mark.parametrize("off", ["off", "false", "no"])
def test_quiet_hours_can_be_switched_off_and_that_is_said_each_time(read: Read, off: str) -> None:
    loaded = read(f"quiet_hours: {off}")

    assert loaded.settings.quiet_hours is None
    [warning] = loaded.findings
    assert (warning.severity, warning.code, warning.line) == ("warning", "quiet_hours_off", 4)


def test_an_unquoted_no_is_norway(read: Read) -> None:
    text = "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: NO, language: no}\n"
    clinic = read(text + "sources: {a: {type: csv, contents: delta}}").settings.clinic

    assert (clinic.country, clinic.language) == ("NO", "no")
    assert clinic.facts().country == "NO"


def test_a_plugin_gets_its_own_keys_and_the_common_ones_stay_outside(read: Read) -> None:
    text = "notifiers: {mail: {type: smtp, host: x, from: a@x.example, rate: 5/s, timeout: 5s}}"
    notifier = read(text).settings.notifiers["mail"]

    assert (notifier.options.host, notifier.options.sender) == ("x", "a@x.example")
    assert (str(notifier.rate), notifier.timeout) == ("5/s", timedelta(seconds=5))


def test_own_paths_are_absolute_and_relative_ones_lie_where_they_belong(
    tmp_path: Path, read: Read
) -> None:
    settings = read("templates: texts\ndata: state").settings

    assert settings.folder == tmp_path
    assert settings.data == tmp_path / "state"
    assert settings.templates == tmp_path / "texts"
    assert settings.log_file == tmp_path / "state/log/clinicrelay.jsonl"
    assert settings.store_url == f"sqlite:///{tmp_path}/state/clinicrelay.db"
    assert read().settings.data == tmp_path / "var"


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///x/y.db", "sqlite:////d/x/y.db"),
        ("sqlite:////abs/y.db", "sqlite:////abs/y.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgres://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgresql://h/n", "postgresql+psycopg://h/n"),
        ("postgresql+psycopg://h/n", "postgresql+psycopg://h/n"),
        ("mysql://h/n", "mysql+pymysql://h/n"),
    ],
)
def test_a_store_url_is_made_ready_for_its_driver(url: str, resolved: str) -> None:
    assert Store(url=url).resolved_url(Path("/d")) == resolved


def test_a_common_key_that_a_plugin_makes_nothing_of_is_a_warning(read: Read) -> None:
    loaded = read(
        "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: DE, language: de}\n"
        "sources: {a: {type: csv, contents: delta, budget: 5/run}}\n"
        "notifiers: {a: {type: outbox, timeout: 5s, rate: 1/s}, "
        "b: {type: patient_post, timeout: 5s, rate: 1/s}}"
    )

    told = [(f.severity, f.code, f.path, f.line, f.column) for f in loaded.findings]
    assert told == [
        ("warning", "no_effect", "sources.a.budget", 3, 43),
        ("warning", "no_effect", "notifiers.a.timeout", 4, 31),
        ("warning", "no_effect", "notifiers.a.rate", 4, 44),
    ]
    assert loaded.settings.notifiers["b"].options.timeout == timedelta(seconds=5)


# --- the environment and references --------------------------------------------------------------


def test_references_are_filled_from_variables_defaults_and_files(
    tmp_path: Path, read: Read
) -> None:
    (tmp_path / "key.txt").write_text("s3cret\n\n")
    text = SMTP % '"${file:key.txt}"' + "logging: {file: '$${x}-${WHO:-nobody}-${LEVEL}.log'}"
    settings = read(text, LEVEL="info").settings

    assert settings.notifiers["mail"].options.password.get_secret_value() == "s3cret\n"
    assert str(settings.logging.file) == "${x}-nobody-info.log"


def test_secret_files_of_the_service_manager_are_found(
    tmp_path: Path, read: Read, tmp_path_factory: pytest.TempPathFactory
) -> None:
    credentials = tmp_path_factory.mktemp("credentials")
    (credentials / "smtp").write_text("from systemd")
    loaded = read(SMTP % '"${file:secrets/smtp}"', CREDENTIALS_DIRECTORY=str(credentials))

    assert loaded.settings.notifiers["mail"].options.password.get_secret_value() == "from systemd"
    assert codes(loaded) == []


def test_a_reference_to_nothing_with_an_empty_default_counts_as_absent(read: Read) -> None:
    assert read('clinic2: "${X:-}"\n'.replace("clinic2", "templates")).settings.templates is None


def test_text_from_a_reference_can_be_a_number_or_a_time(read: Read) -> None:
    settings = read(
        "notifiers: {mail: {type: smtp, host: x, port: '${PORT}'}}\n"
        "quiet_hours: {from: '${NIGHT}'}",
        PORT="2525",
        NIGHT="22:00",
    ).settings

    assert settings.notifiers["mail"].options.port == 2525
    assert settings.quiet_hours
    assert settings.quiet_hours.start == time(22)


def test_the_real_environment_goes_before_dotenv(tmp_path: Path, read: Read) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("# secrets\nexport A='one # two'\nB=three # four\nC=\"five\"\n\nno line\n")
    dotenv.chmod(0o600)
    loaded = read("logging: {file: '${A}/${B}/${C}'}", B="six")

    assert str(loaded.settings.logging.file) == "one # two/six/five"
    assert loaded.findings == ()


def test_any_key_can_be_set_from_the_environment(read: Read) -> None:
    settings = read(
        "store: {url: 'sqlite:///${UNSET}.db'}\nreminders: {patient: {steps: [1d]}}\n" + OUT,
        CLINICRELAY__STORE__URL="postgresql://u:p$${x}@h/n",
        CLINICRELAY__STORE__INSTANCE_KEY="k",
        CLINICRELAY__QUIET_HOURS__FROM="22:30",
        CLINICRELAY__REMINDERS__PATIENT__STEPS="[2d, {before: 1h}]",
        CLINICRELAY__SOURCES__RECEPTION__GONE_AFTER="3",
        CLINICRELAY__CLINIC__PHONE="+493012345678",
    ).settings

    assert settings.store_url == "postgresql+psycopg://u:p$${x}@h/n"
    assert settings.store.instance_key
    assert settings.quiet_hours
    assert settings.quiet_hours.start == time(22, 30)
    assert settings.reminders.patient
    assert [s.name for s in settings.reminders.patient.steps] == ["2d", "1h"]
    assert settings.sources["reception"].gone_after == 3
    assert settings.clinic.phone == "+493012345678"


def test_names_with_hyphens_and_items_of_lists_can_be_set_too(read: Read) -> None:
    settings = read(
        "notifiers: {out-box: {type: outbox}}\ndoctors: [{id: a, match: '1'}]\n",
        CLINICRELAY__NOTIFIERS__OUT_BOX__TIMEOUT="5s",
        CLINICRELAY__DOCTORS__0__EMAIL="a@x.example",
    ).settings

    assert settings.notifiers["out-box"].timeout == timedelta(seconds=5)
    assert settings.doctors[0].email == "a@x.example"


def test_an_empty_variable_takes_a_value_away_but_never_the_restriction(read: Read) -> None:
    assert read("templates: x", CLINICRELAY__TEMPLATES="").settings.templates is None
    with pytest.raises(SettingsError, match="names nobody"):
        read("safety: {only_recipients: ['*@x.example']}", CLINICRELAY__SAFETY__ONLY_RECIPIENTS="")


# --- secrets -----------------------------------------------------------------------------------


def test_a_secret_in_the_file_is_a_warning_at_its_place(tmp_path: Path, read: Read) -> None:
    loaded = read(SMTP % "hunter2")

    [warning] = [f for f in loaded.findings if f.code == "literal_secret"]
    assert (warning.path, warning.line, warning.column) == ("notifiers.mail.password", 4, 72)
    assert "${PASSWORD}" in warning.fix
    assert codes(read(SMTP % '"${P}"', P="hunter2")) == []


@posix
def test_files_with_secrets_that_others_may_read_are_a_warning(tmp_path: Path, read: Read) -> None:
    secret, dotenv = tmp_path / "key.txt", tmp_path / ".env"
    secret.write_text("x")
    dotenv.write_text("A=b")
    (tmp_path / "settings.yaml").touch(0o644)
    for mode, expected in ((0o644, 2), (0o600, 0)):
        secret.chmod(mode)
        dotenv.chmod(mode)
        loaded = read(SMTP % '"${file:key.txt}"')
        assert sum(
            f"chmod 600 {f}" in w.fix for w in loaded.findings for f in (secret, dotenv)
        ) == (expected)

    (tmp_path / "settings.yaml").chmod(0o644)
    assert "open_file" in codes(read(SMTP % "hunter2"))


def test_no_secret_shows_in_what_is_loaded(read: Read) -> None:
    loaded = read(
        SMTP % '"${PASSWORD}"' + "store: {url: 'postgresql://u:${PASSWORD}@h/n'}",
        PASSWORD="canary-7719",
        CLINICRELAY__STORE__INSTANCE_KEY="canary-7719",
    )

    assert "canary-7719" in loaded.settings.store_url
    assert "canary-7719" not in repr(loaded)
    assert "canary-7719" not in str(loaded.settings)


# --- the one that is shipped -------------------------------------------------------------------


def test_the_shipped_settings_hold_as_they_stand() -> None:
    loaded = load(Path(__file__).parents[2] / "settings.yaml", environ={})

    assert loaded.findings == ()
    assert loaded.settings.notifiers["outbox"].options.folder == Path("outbox")


def test_doctors_of_two_sources_may_share_an_id_that_is_elsewhere_somebody_elses(
    read: Read,
) -> None:
    head = "version: 1\nclinic: {id: a, name: A, timezone: UTC, country: DE, language: de}\n"
    sources = "sources: {new: {type: csv, contents: delta}, old: {type: csv, contents: delta}}\n"
    doctors = "doctors: [{id: acar, match: '17'}, {id: braun, match: {old: '17'}}]\n"

    assert read(head + sources + doctors).findings == ()


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('quiet_hours: {from: "08:30", to: "08:00"}', "quiet_hours", "only 30 minutes"),
        ('quiet_hours: {from: "00:00", to: "23:30"}', "quiet_hours", "only 30 minutes"),
        ("safety: {caps: {day: 7, week: 3}}", "safety.caps", "no more than 3"),
        ("safety: {caps: {day: 7}}", "safety.caps", "no more than 6"),
    ],
)
def test_what_leaves_hardly_a_message_is_a_warning(
    read: Read, text: str, path: str, message: str
) -> None:
    [found] = read(text).findings

    assert (found.severity, found.path) == ("warning", path)
    assert message in found.message


@pytest.mark.parametrize(
    "text", ['quiet_hours: {from: "09:00", to: "08:00"}', "safety: {caps: {day: 3, week: 3}}"]
)
def test_what_leaves_some_messages_may_stand(read: Read, text: str) -> None:
    assert read(text).findings == ()
