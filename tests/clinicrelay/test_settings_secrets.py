"""Where secrets may come from, what is said when they lie open, and checks without any of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinicrelay import Finding, SettingsError
from clinicrelay.settings import Broken, Loaded, load, load_all
from clinicrelay.settings.references import References, Unresolved
from clinicrelay.settings.secrecy import password_in, without_password

Read = Callable[..., Loaded]
Mistakes = Callable[..., list[Finding]]

HEAD = """\
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources: {reception: {type: csv, contents: snapshot}}
"""
OUT = "notifiers: {outbox: {type: outbox}}\n"
SMTP = "notifiers: {mail: {type: smtp, host: smtp.riverside.example, password: %s}}\n"


def password_of(loaded: Loaded) -> str:
    password: Any = loaded.settings.notifiers["mail"].options.password
    return str(password.get_secret_value())


# --- references ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "environ", "filled"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}-${B}", {"A": "x", "B": "y"}, "x-y"),
        ("${A:-y}", {}, "y"),
        ("${A:-y}", {"A": ""}, "y"),
        ("${A:-}", {}, ""),
        ("${A:-a:-b}", {}, "a:-b"),
        ("$$", {}, "$"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$$${A}", {"A": "x"}, "$x"),
        ("a$b", {}, "a$b"),
        ("${A}", {"A": "${B}", "B": "never"}, "${B}"),
        ("${A}", {"A": "two words # no comment"}, "two words # no comment"),
    ],
)
def test_a_reference_is_filled_once_and_two_dollars_are_one(
    tmp_path: Path, written: str, environ: dict[str, str], filled: str
) -> None:
    assert References(tmp_path, environ).fill(written)[0] == filled


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret\n\n", "s3cret\n"),
        (b"-----BEGIN\nkey\n-----END\n", "-----BEGIN\nkey\n-----END"),
        (b"", ""),
    ],
)
def test_a_file_is_taken_without_its_last_line_end(
    tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "key").write_bytes(content)

    assert References(tmp_path, {}).fill("${file:key}")[0] == text


def test_a_file_is_looked_for_beside_the_settings_then_where_services_keep_theirs(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    credentials = tmp_path_factory.mktemp("credentials")
    (credentials / "key").write_text("from systemd")
    references = References(tmp_path, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert references.fill("${file:key}")[0] == "from systemd"
    assert references.fill("${file:secrets/key}")[0] == "from systemd"
    (tmp_path / "key").write_text("beside")
    assert references.fill("${file:key}")[0] == "beside"
    assert references.fill(f"${{file:{credentials}/key}}")[0] == "from systemd"


@pytest.mark.parametrize(
    "name", ["gone", "x" * 5000, "~nobody-of-this-name/key", ".", "a\0b", "gone/deeper", ""]
)
def test_a_file_that_cannot_be_there_is_missed_in_a_sentence(mistakes: Mistakes, name: str) -> None:
    quoted = name.replace("\0", "\\0")
    [finding] = mistakes(f'data: "${{file:{quoted}}}"')

    assert (finding.path, finding.code) == ("data", "no_secret_file")
    assert ("is a folder" in finding.message) is (name in (".", ""))


@pytest.mark.parametrize(
    ("folder", "name", "environ", "told"),
    [
        ("/etc/clinicrelay", "key-of-nobody", {}, True),
        ("/etc/clinicrelay", "key-of-nobody", {"CREDENTIALS_DIRECTORY": "/nowhere"}, False),
        ("/etc/clinicrelay", "secrets/key-of-nobody", {}, False),
        ("/srv/clinicrelay", "key-of-nobody", {}, False),
    ],
)
def test_who_types_a_command_without_the_secrets_that_systemd_hands_over_is_told_how(
    folder: str, name: str, environ: dict[str, str], *, told: bool
) -> None:
    with pytest.raises(Unresolved) as missed:
        References(Path(folder), environ).fill(f"${{file:{name}}}")

    assert missed.value.code == "no_secret_file"
    assert ("docs/howto/systemd.md" in missed.value.fix) is told


def test_a_secret_file_that_is_no_text_or_far_too_large_is_refused(
    tmp_path: Path, mistakes: Mistakes
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"x" * 300_000)

    assert [f.code for f in mistakes('data: "${file:binary}"')] == ["not_text"]
    assert [f.code for f in mistakes('data: "${file:large}"')] == ["too_large"]


def test_dotenv_is_read_beside_the_file_wherever_one_stands(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("A=beside\nCLINICRELAY__DATA=kept\n")
    dotenv.chmod(0o600)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".env").write_text("A=elsewhere\n")
    monkeypatch.chdir(elsewhere)
    loaded = read("logging: {file: '${A}'}")

    assert str(loaded.settings.logging.file) == "beside"
    assert loaded.settings.data == tmp_path / "kept"
    assert read("", CLINICRELAY__DATA="real").settings.data == tmp_path / "real"


def test_a_dotenv_that_is_no_text_is_told_of(tmp_path: Path, mistakes: Mistakes) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")

    assert [f.code for f in mistakes("")] == ["unreadable_file"]


# --- homes -----------------------------------------------------------------------------------


def test_a_path_may_begin_at_home_in_plugins_too(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/srv/relay")
    settings = read(
        "version: 1\n"
        "clinic: {id: a, name: '~A', timezone: UTC, country: DE, language: de}\n"
        "data: ~/state\nlogging: {file: ~/a.log}\n"
        "sources: {a: {type: csv, contents: delta, inbox: ~/drops}}\n"
        "calendars: {f: {type: ics, folder: '${PLACE}'}}\n",
        PLACE="~/cal",
    ).settings

    assert settings.data == Path("/srv/relay/state")
    assert settings.log_file == Path("/srv/relay/a.log")
    assert settings.sources["a"].options.inbox == Path("/srv/relay/drops")
    assert settings.calendars["f"].options.folder == Path("/srv/relay/cal")
    assert settings.clinic.name == "~A"


def test_the_home_of_nobody_is_a_mistake(mistakes: Mistakes) -> None:
    [finding] = mistakes("data: ~nobody-of-this-name/x")

    assert (finding.code, finding.line, finding.column) == ("no_home", 4, 7)


# --- lying open ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://u:pw@h/n", "pw"),
        ("postgresql+psycopg://u:p:w@h/n", "p:w"),
        ("postgresql://:pw@h", "pw"),
        ("postgresql://u:p@w/x#y?z@h/n", "p@w/x#y?z"),
        ("mysql://a/b@c:p w@h/n", "p w"),
        ("postgresql://u@h/n", None),
        ("sqlite:///a:b@c", None),
        ("https://h/a:b@c", None),
        ("reception", None),
    ],
)
def test_a_password_is_found_in_an_address(address: str, password: str | None) -> None:
    assert password_in(address) == password
    assert (without_password(address) == address) == (password is None)
    if password:
        assert password not in without_password(address).replace("postgresql", "")


def test_a_password_in_the_address_of_the_store_is_a_warning_at_its_place(read: Read) -> None:
    store = "store: {url: 'postgresql://u:%s@h/n'}"
    [warning] = [f for f in read(store % "hunter22").findings if f.code == "literal_secret"]

    assert (warning.path, warning.line, warning.column) == ("store.url", 4, 14)
    assert warning.severity == "warning"
    assert "${PASSWORD}" in warning.fix
    assert "hunter22" not in warning.message + warning.fix
    assert read(store % "${PASSWORD}", PASSWORD="hunter22").findings == ()


def test_a_short_secret_is_struck_out_where_it_is_a_word_of_its_own(mistakes: Mistakes) -> None:
    [finding] = mistakes("store: {lease: '${X}'}", X="15x")

    assert finding.message == "'…' is not a duration"
    assert finding.fix == "write 15m, 6h, 30d or 1h30m"
    [finding] = mistakes("store: {lease: '${X}'}", X="h")
    assert finding.fix == "write 15m, 6h, 30d or 1h30m"


@pytest.mark.parametrize("reference", ["${SMTP_PASSWORD}", "${file:gone}"])
def test_a_secret_that_is_nowhere_is_missed_and_no_more_said(
    tmp_path: Path, read: Read, reference: str
) -> None:
    (tmp_path / "settings.yaml").touch()
    (tmp_path / "settings.yaml").chmod(0o644)

    with pytest.raises(SettingsError) as refused:
        read(SMTP % f'"{reference}"')

    assert [f.severity for f in refused.value.findings] == ["error"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_a_settings_file_without_secrets_may_be_read_by_everybody(
    tmp_path: Path, read: Read
) -> None:
    read(OUT)
    (tmp_path / "settings.yaml").chmod(0o644)

    assert read(OUT).findings == ()


# --- without any of them ---------------------------------------------------------------------


def test_without_secrets_references_are_neither_followed_nor_missed(
    tmp_path: Path, read: Read
) -> None:
    text = SMTP % '"${SMTP_PASSWORD}"' + "store: {url: '${STORE_URL}'}\ntemplates: '${file:x}'\n"
    with pytest.raises(SettingsError, match="SMTP_PASSWORD is not set"):
        read(text)
    loaded = load(tmp_path / "settings.yaml", environ={}, secrets=False)

    assert loaded.findings == ()
    assert loaded.opaque == {"notifiers.mail.password", "store.url", "templates"}


def test_without_secrets_neither_the_environment_nor_files_nor_dotenv_are_looked_at(
    tmp_path: Path, read: Read
) -> None:
    (tmp_path / "key").write_text("canary")
    (tmp_path / ".env").write_text("PASSWORD=canary\nCLINICRELAY__DATA=canary")
    read(SMTP % '"${PASSWORD}${file:key}"')
    loaded = load(tmp_path / "settings.yaml", environ={"PASSWORD": "canary"}, secrets=False)

    assert password_of(loaded) == "${PASSWORD}${file:key}"
    assert loaded.settings.data == tmp_path / "var"
    assert loaded.findings == ()  # nobody's chmod either


@pytest.mark.parametrize(
    "text",
    [
        "store: {lease: '${X}'}",
        "safety: {max_messages_per_run: '${X}', hold_if: {gone: '${X}', storm: '${X}'}}",
        "quiet_hours: {from: '${X}', to: '${X}'}",
        "quiet_hours: '${X}'",
        "notifiers: {mail: {type: smtp, host: '${X}', port: '${X}'}}",
        "notifiers: {mail: {type: '${X}'}}\nreminders: {patient: {steps: [1d]}}",
        OUT + "reminders: {patient: {steps: ['${X}', 1d], on_gone: '${X}'}}",
        OUT + "reminders: {doctor: {digest: {at: '${X}'}}}",
        OUT + "channels: {order: ['${X}'], sms: ['${X}'], consent: {sms: '${X}'}}",
        "logging: {level: '${X}', file: '${file:x}'}",
        "safety: {only_recipients: ['${X}']}",
        "calendars: {files: {type: ics, event: {detail: '${X}'}}}",
        "calendars: {files: {type: ics, event: {detail: full, phi_acknowledged: '${X}'}}}",
        "doctors: [{id: '${X}', match: '${X}', email: '${X}', phone: '${X}'}]",
    ],
)
def test_without_secrets_a_reference_may_stand_wherever_a_value_does(
    tmp_path: Path, mistakes: Mistakes, text: str
) -> None:
    assert mistakes(text)
    loaded = load(tmp_path / "settings.yaml", environ={}, secrets=False)

    assert loaded.findings == ()


def test_without_secrets_a_clinic_may_be_made_of_references(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        "version: 1\n"
        "clinic: {id: '${A}', name: '${A}', timezone: '${A}', country: '${A}', language: '${A}'}\n"
        "sources: {reception: {type: csv, contents: '${A}', window: {past: '${A}'}}}\n"
    )
    loaded = load(tmp_path / "settings.yaml", environ={}, secrets=False)

    assert loaded.findings == ()


@pytest.mark.parametrize("section", ["clinic", "store", "quiet_hours", "safety", "doctors"])
def test_without_secrets_even_a_section_may_be_a_reference(tmp_path: Path, section: str) -> None:
    text = {"version": "1", "clinic": HEAD.splitlines()[1].partition(": ")[2]}
    text |= {"sources": "{a: {type: csv, contents: delta}}", section: "'${X}'"}
    lines = [f"{key}: {value}\n" for key, value in text.items()]
    (tmp_path / "settings.yaml").write_text("".join(lines))

    assert load(tmp_path / "settings.yaml", environ={}, secrets=False).findings == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("colour: '${X}'", "colour"),
        ("data: ${A", "data"),
        ("data: ${A-b}", "data"),
        ("store: {lease: '${X:-soon}'}", "store.lease"),
        ("store: {url: '${X}', lease: soon}", "store.lease"),
        ("notifiers: {mail: {type: smtp, port: '${X}'}}", "notifiers.mail.host"),
        ("notifiers: {mail: {type: smtp, host: '${X}', prot: 1}}", "notifiers.mail.prot"),
        ("notifiers: {mail: {type: smpt, host: '${X}'}}", "notifiers.mail.type"),
        ("reminders: {patient: {steps: ['${X}']}}", "reminders.patient"),
        ("store: {url: ${STORE_URL}}", ""),
    ],
)
def test_without_secrets_everything_else_is_still_checked(
    tmp_path: Path, mistakes: Mistakes, text: str, path: str
) -> None:
    mistakes(text)
    with pytest.raises(SettingsError) as refused:
        load(tmp_path / "settings.yaml", environ={}, secrets=False)

    assert [f.path for f in refused.value.findings] == [path]


@pytest.mark.usefixtures("made_up_plugins")
def test_without_secrets_a_literal_one_is_still_a_warning(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(HEAD + SMTP % "hunter2")
    loaded = load(tmp_path / "settings.yaml", environ={}, secrets=False)

    assert [f.code for f in loaded.findings] == ["literal_secret"]


@pytest.mark.usefixtures("made_up_plugins")
def test_a_whole_folder_can_be_checked_without_secrets(tmp_path: Path) -> None:
    for name in "ab":
        text = HEAD.replace("id: riverside", f"id: {name}") + SMTP % "'${PASSWORD}'"
        text += f"data: '${{{name.upper()}_DATA}}'\n"
        text = text.replace("snapshot", f"snapshot, inbox: drops/{name}")
        (tmp_path / f"{name}.yaml").write_text(text)

    assert [type(one) for one in load_all(tmp_path, environ={})] == [Broken, Broken]
    assert [type(one) for one in load_all(tmp_path, environ={}, secrets=False)] == [Loaded, Loaded]
