"""A clinic is begun: with Enter alone, with options alone, and with answers that try to break it."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, SecretStr
from ruamel.yaml import YAML

import commands
from clinicrelay import Channel, Notifier, SettingsError, files, plugins
from clinicrelay.settings import Settings, load
from clinicrelay.settings.values import Section, wrong
from clinicrelay.testing.kits import canaries_in
from commands._init import proposals

Row = Callable[..., dict[str, Any]]
# Enter takes what is proposed; what an export holds is proposed by nobody.
TAKEN = (*[""] * 6, "snapshot", "", "")
YES = ("--yes", "--contents", "snapshot")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Keyboard(io.StringIO):
    """Somebody types these lines; what is beyond them is the end of input."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def german_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "SMTP_PASSWORD", "CLINICRELAY_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def typed(*words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            commands.main(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert isinstance(end.value.code, int)
        return Ran(end.value.code, said.out, said.err)

    return typed


@pytest.fixture
def answer(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run init on a terminal, with one line typed for each answer."""

    def answered(folder: Path, *lines: str, options: tuple[str, ...] = ()) -> Ran:
        monkeypatch.setattr("sys.stdin", Keyboard("".join(f"{line}\n" for line in lines)))
        return run("init", str(folder), *options)

    return answered


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "river-side"


def settings_in(folder: Path) -> Settings:
    return load(folder / "settings.yaml", environ={}).settings


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- Enter suffices ------------------------------------------------------------------------------


def test_enter_alone_makes_a_clinic_from_the_folder_and_the_machine(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(folder, *TAKEN)

    assert ran.code == 0, ran
    made = settings_in(folder)
    clinic = made.clinic
    assert (clinic.id, clinic.name) == ("river_side", "River Side")
    assert (clinic.country, clinic.timezone, clinic.language) == ("DE", "Europe/Berlin", "de")
    assert clinic.phone is None
    assert made.sources["reception"].options.contents == "snapshot"
    assert made.reminders.patient is not None
    assert [step.name for step in made.reminders.patient.steps] == ["3d", "1d", "1h"]
    assert made.quiet_hours is not None
    assert everything(folder) == [
        ".gitignore", "drops", "drops/reception", "settings.schema.json", "settings.yaml",
    ]  # fmt: skip


def test_the_questions_say_what_each_kind_of_export_costs_when_it_is_wrong(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(folder, *TAKEN)

    assert "a visit that is missing counts as gone" in ran.out
    assert "a column says insert, update or delete" in ran.out
    assert "nothing is ever gone because it is missing" in ran.out
    assert "nothing leaves this machine" in ran.out


def test_the_end_says_that_it_is_a_rehearsal_and_what_to_type_next(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(folder, *TAKEN)

    assert "River Side is in REHEARSAL" in ran.out
    assert f"Put an export (CSV, one line a visit) into {folder}/drops/reception" in ran.out
    order = [ran.out.index(f"clinicrelay {word} --settings") for word in ("check", "plan", "sync")]
    assert order == sorted(order)


def test_in_the_folder_itself_the_next_commands_need_no_path(
    answer: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    monkeypatch.chdir(folder)

    ran = answer(Path(), *TAKEN)

    assert ran.code == 0
    assert "  clinicrelay check\n" in ran.out
    assert settings_in(folder).clinic.name == "River Side"


def test_later_answers_are_proposed_from_earlier_ones(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(folder, "Clínica São João", "", "br", *TAKEN[3:])

    assert ran.code == 0, ran
    clinic = settings_in(folder).clinic
    assert (clinic.id, clinic.country) == ("clinica_sao_joao", "BR")
    assert clinic.timezone == "America/Sao_Paulo"


# --- answers are judged at once ------------------------------------------------------------------


def test_a_wrong_answer_is_told_at_once_in_the_words_of_the_settings(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(
        folder,
        *("Riverside", "River Side!", "river"),
        *("Germany", "DE"),
        *("CET", "Europe/Berlin"),
        *("German", "de"),
        *("12", "+493012345678"),
        *("everything", "append"),
        *("fax", "folder"),
        *("3 days", "2d"),
    )

    assert ran.code == 0, ran
    said = " ".join(ran.out.split())
    for sentence in (
        "small letters, digits, _ and - only: write river_side.",
        "'Germany' is not a country code of ISO 3166: write DE.",
        "which alone knows summer time: write Europe/Berlin.",
        "'German' is not a language tag",
        "This is not a phone number: write it in quotes",
        "This must be one of snapshot, delta, append",
        "This must be one of none, folder",
        "is not a duration: write 15m, 6h, 30d or 1h30m.",
    ):
        assert sentence in said, sentence
    made = settings_in(folder)
    assert (made.clinic.id, made.clinic.phone) == ("river", "+493012345678")
    assert made.sources["reception"].options.contents == "append"


def test_the_remedy_of_a_wrong_answer_is_what_enter_takes_next(
    answer: Callable[..., Ran], folder: Path
) -> None:
    ran = answer(
        folder, "", "", "Deutschland", "", "Berlin", "", "", "030 12345678", "", *TAKEN[6:]
    )

    assert ran.code == 0, ran
    clinic = settings_in(folder).clinic
    assert (clinic.country, clinic.timezone) == ("DE", "Europe/Berlin")
    assert clinic.phone == "+493012345678"


def test_no_reminders_and_no_messages_are_answers_too(
    answer: Callable[..., Ran], tmp_path: Path
) -> None:
    assert answer(tmp_path / "a", *TAKEN[:7], "folder", "none").code == 0
    assert answer(tmp_path / "b", *TAKEN[:7], "none").code == 0

    patient = settings_in(tmp_path / "a").reminders.patient
    assert patient is not None
    assert patient.steps == ()
    silent = settings_in(tmp_path / "b")
    assert (silent.notifiers, silent.reminders.patient) == ({}, None)


# --- nothing half-written, nothing overwritten ---------------------------------------------------


@pytest.mark.parametrize("after", range(len(TAKEN)))
def test_leaving_at_any_question_writes_nothing(
    answer: Callable[..., Ran], folder: Path, after: int
) -> None:
    ran = answer(folder, *TAKEN[:after])

    assert ran.code == 130
    assert "Stopped. Nothing was written." in ran.err
    assert not folder.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("last", ["settings.schema.json", ".gitignore", "settings.yaml"])
def test_being_cut_off_while_writing_leaves_nothing_behind(
    run: Callable[..., Ran],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    last: str,
) -> None:
    whole = files.replace

    def cut_off(path: Path, content: bytes, *, mode: int = 0o666) -> None:
        whole(path, content, mode=mode)
        if path.name == last:
            raise error

    monkeypatch.setattr(files, "replace", cut_off)

    ran = run("init", str(folder), *YES)

    assert ran.code == (2 if isinstance(error, OSError) else 130)
    assert not folder.exists()


def test_a_file_that_is_there_is_left_alone_before_anything_is_asked(
    run: Callable[..., Ran], folder: Path
) -> None:
    folder.mkdir()
    (folder / "settings.yaml").write_text("mine", encoding="utf-8")

    ran = run("init", str(folder))

    assert ran.code == 2
    assert "init overwrites nothing" in ran.err
    assert (folder / "settings.yaml").read_text(encoding="utf-8") == "mine"
    assert everything(folder) == ["settings.yaml"]


def test_other_files_that_are_there_are_kept_as_they_are(
    run: Callable[..., Ran], folder: Path
) -> None:
    folder.mkdir()
    (folder / ".gitignore").write_text("*.bak\nvar/\n", encoding="utf-8")

    ran = run("init", str(folder), *YES)

    assert ran.code == 0
    assert (folder / ".gitignore").read_text(encoding="utf-8") == "*.bak\nvar/\n"
    assert ".gitignore was there already: add .env and drops/ to it" in ran.out


def test_a_place_that_cannot_hold_a_clinic_is_refused(
    run: Callable[..., Ran], folder: Path
) -> None:
    folder.write_text("a file", encoding="utf-8")

    ran = run("init", str(folder), *YES)

    assert ran.code == 2
    assert "is not a folder" in ran.err


def test_settings_are_no_place_for_init(run: Callable[..., Ran], folder: Path) -> None:
    ran = run("init", "--settings", str(folder / "x.yaml"), *YES)

    assert ran.code == 2
    assert "name the folder instead" in " ".join(ran.err.replace("│", " ").split())


# --- without a terminal --------------------------------------------------------------------------


def test_options_answer_everything_without_a_terminal(
    run: Callable[..., Ran], folder: Path
) -> None:
    ran = run(
        *("init", str(folder), "--name", "Riverside", "--id", "main", "--country", "US"),
        *("--timezone", "America/Chicago", "--language", "en", "--phone", "+12025550100"),
        *("--contents", "delta", "--send", "folder", "--steps", "2d,3h", "--json"),
    )

    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert told["settings"] == str(folder / "settings.yaml")
    assert told["inbox"] == str(folder / "drops" / "reception")
    assert told["next"][0].startswith("clinicrelay check")
    made = settings_in(folder)
    assert (made.clinic.id, made.clinic.timezone) == ("main", "America/Chicago")
    assert made.sources["reception"].options.contents == "delta"


def test_without_a_terminal_name_and_country_must_be_said_or_yes(
    run: Callable[..., Ran], folder: Path
) -> None:
    ran = run("init", str(folder), "--name", "Riverside")

    assert ran.code == 2
    assert "name --country and --contents" in ran.err
    assert not folder.exists()
    words = ("--name", "Riverside", "--country", "DE", "--contents", "append")
    assert run("init", str(folder), *words).code == 0


def on_a_machine(monkeypatch: pytest.MonkeyPatch, locale: str, zone: str) -> None:
    for name, said in (("LANG", locale), ("TZ", zone)):
        monkeypatch.setenv(name, said) if said else monkeypatch.delenv(name)
    if not zone:
        monkeypatch.setattr(proposals, "zone_of_machine", lambda environ: "Etc/UTC")


@pytest.mark.parametrize(
    ("locale", "zone", "lacking"),
    [
        ("C.UTF-8", "UTC", "name --country and --contents"),
        ("", "", "name --country and --contents"),
        ("en_US.UTF-8", "Europe/Berlin", "name --country and --contents"),
        ("en_US.UTF-8", "UTC", "name --timezone and --contents"),
        ("pt_BR.UTF-8", "UTC", "name --timezone and --contents"),
        ("de_DE.UTF-8", "UTC", "name --contents"),
        ("C.UTF-8", "America/Chicago", "name --contents"),
    ],
)
def test_what_a_machine_cannot_know_has_to_be_named_with_yes_too(
    run: Callable[..., Ran],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    locale: str,
    zone: str,
    lacking: str,
) -> None:
    on_a_machine(monkeypatch, locale, zone)
    ran = run("init", str(folder), "--yes")
    assert ran.code == 2
    assert lacking in ran.err
    assert "--" not in ran.err.rpartition(lacking)[2].splitlines()[0]
    assert not folder.exists()
    words = ("--country", "US", "--timezone", "America/Chicago", "--contents", "append")
    assert run("init", str(folder), "--yes", *words).code == 0
    assert settings_in(folder).clinic.timezone == "America/Chicago"


def test_what_cannot_be_known_is_asked_until_it_is_answered(
    answer: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_machine(monkeypatch, "C.UTF-8", "UTC")
    ran = answer(folder, "", "", *("", "", "AT"), "", "", "", *("", "", "delta"), "", "")
    assert ran.code == 0, ran
    made = settings_in(folder)
    assert (made.clinic.country, made.clinic.timezone) == ("AT", "Europe/Vienna")
    assert made.sources["reception"].options.contents == "delta"


def test_all_wrong_options_are_told_at_once_by_their_names(
    run: Callable[..., Ran], folder: Path
) -> None:
    ran = run(
        *("init", str(folder), *YES, "--country", "XX", "--timezone", "CET"),
        *("--phone", "123", "--contents", "all", "--id", "A B"),
    )

    assert ran.code == 2
    for option in ("--country", "--timezone", "--phone", "--contents", "--id"):
        assert f"error: {option}: " in ran.err
    assert not folder.exists()


# --- answers that try to break the file ----------------------------------------------------------

NAMES = (
    "Dr. \"Quote\" & Söhne: 'Praxis' #1",
    "Клиника — 診療所 عيادة 🏥",
    "back\\slash \\n {a: b} [c] - d",
    "${HOME} $$ $1 ${file:/etc/passwd}",
    "yes",
    "null",
    "123",
    "- item",
    "a: b",
    "zero\u200bwidth \u2028 line \ufeff mark \x85 next \x07 bell",
    "*anchor &amp !tag %percent @at `tick`",
    "? key",
    "first\nsecond: third\r\n# fourth",
    "lone \udc80 surrogate",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_script_and_signs_is_read_back_as_it_was_given(
    run: Callable[..., Ran], folder: Path, name: str
) -> None:
    ran = run("init", str(folder), *YES, "--name", name)

    assert ran.code == 0, ran
    given = " ".join(name.encode("utf-8", "replace").decode().split())
    assert settings_in(folder).clinic.name == given
    check = run("check", "--settings", str(folder / "settings.yaml"), "--json")
    findings = json.loads(check.out)["findings"]
    assert [one for one in findings if one["severity"] == "error"] == []


def test_other_yaml_readers_read_the_same_name(run: Callable[..., Ran], folder: Path) -> None:
    run("init", str(folder), *YES, "--name", NAMES[0], "--country", "NO", "--id", "1e5")

    read = YAML(typ="safe", pure=True).load((folder / "settings.yaml").read_text("utf-8"))

    assert read["clinic"]["name"] == NAMES[0]
    assert (read["clinic"]["country"], read["clinic"]["id"]) == ("NO", "1e5")
    assert '"NO"' in (folder / "settings.yaml").read_text("utf-8")


# --- what was made works -------------------------------------------------------------------------


@pytest.mark.parametrize("contents", ["snapshot", "delta", "append"])
@pytest.mark.parametrize("send", ["none", "folder"])
def test_the_file_passes_check_without_a_word(
    run: Callable[..., Ran], folder: Path, contents: str, send: str
) -> None:
    assert run("init", str(folder), *YES, "--contents", contents, "--send", send).code == 0

    ran = run("check", "--settings", str(folder / "settings.yaml"))

    assert ran.code == 0, ran
    assert "All is right." in ran.out


def test_the_schema_beside_it_knows_every_line_of_it(run: Callable[..., Ran], folder: Path) -> None:
    run("init", str(folder), *YES, "--phone", "+493012345678")

    text = (folder / "settings.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=settings.schema.json\n")
    schema = json.loads((folder / "settings.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(YAML(typ="safe", pure=True).load(text))


def test_an_export_that_is_dropped_goes_all_the_way(
    run: Callable[..., Ran], desk: Any, row: Row
) -> None:
    desk.settings.unlink()
    assert run("init", str(desk.folder), *YES, "--name", "Riverside").code == 0
    desk.change("    contents: snapshot", "    ready: {settle: 0s}\n    contents: snapshot")

    first = desk.sync(row(1), row(2))
    second = desk.sync(row(1), row(2), row(3), now="2026-11-23T11:00:00Z")

    assert first.code == second.code == 0, second
    assert "REHEARSAL · Riverside" in second.out
    assert "sent 1 (email 1)" in second.out
    assert len(list((desk.folder / "var" / "calendars").glob("*.ics"))) == 1
    assert canaries_in(first.out + second.out) == []


# --- a mail server -------------------------------------------------------------------------------


class Post(Notifier):
    """A made-up mail server's options, as far as init asks for them."""

    channels = (Channel.EMAIL,)

    class Options(Section):
        host: str
        sender: str = Field(alias="from")
        username: SecretStr | None = None
        password: SecretStr | None = None

        def model_post_init(self, context: Any, /) -> None:
            if " " in self.host:
                raise wrong("this is not the name of a server", "write its name alone")


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A mail server can be chosen; the passwords in the list are typed."""
    find, names, typed = plugins.find, plugins.names, ["s3cret #1 \"quoted\" 'twice' $HOME"]
    monkeypatch.setattr(
        plugins, "find", lambda room, name: Post if name == "smtp" else find(room, name)
    )
    monkeypatch.setattr(
        plugins,
        "names",
        lambda room: sorted({*names(room), *(["smtp"] if room == "notifiers" else [])}),
    )
    monkeypatch.setattr("getpass.getpass", lambda *_args, **_more: typed[0])
    return typed


MAIL = ("smtp.riverside.example", "", "relay")
BY_MAIL = ("--send", "smtp", "--smtp-host", MAIL[0])


@pytest.mark.usefixtures("mail_server")
def test_a_password_goes_into_a_private_file_and_nowhere_else(
    answer: Callable[..., Ran], folder: Path, mail_server: list[str]
) -> None:
    ran = answer(folder, *TAKEN[:7], "smtp", *MAIL, "")

    assert ran.code == 0, ran
    secret = mail_server[0]
    dotenv = folder / ".env"
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert ".env" in (folder / ".gitignore").read_text("utf-8").split()
    assert secret not in (folder / "settings.yaml").read_text("utf-8") + ran.out + ran.err
    options = settings_in(folder).notifiers["smtp"].options
    assert options.password.get_secret_value() == secret
    assert (options.host, options.sender) == (MAIL[0], "noreply@riverside.example")
    assert load(folder / "settings.yaml", environ={}).findings == ()


@pytest.mark.usefixtures("mail_server")
@pytest.mark.parametrize(
    "secret", ["plain", 'a"b', "a'b", 'x" # y', "x' # y", " blank ", "ß€ 診", "${HOME}", "\\n", "#"]
)
def test_any_password_is_read_back_as_it_was_typed(
    answer: Callable[..., Ran], folder: Path, mail_server: list[str], secret: str
) -> None:
    mail_server[0] = secret

    ran = answer(folder, *TAKEN[:7], "smtp", *MAIL, "")

    assert ran.code == 0, ran
    options = settings_in(folder).notifiers["smtp"].options
    assert options.password.get_secret_value() == secret.strip()


@pytest.mark.usefixtures("mail_server")
def test_without_a_login_there_is_no_secret_and_no_file_for_one(
    answer: Callable[..., Ran], folder: Path
) -> None:
    assert answer(folder, *TAKEN[:7], "smtp", "", "", "", "").code == 0

    assert not (folder / ".env").exists()
    assert settings_in(folder).notifiers["smtp"].options.username is None


@pytest.mark.usefixtures("mail_server")
def test_a_dotenv_that_is_there_is_never_touched(answer: Callable[..., Ran], folder: Path) -> None:
    folder.mkdir()
    (folder / ".env").write_text("OTHER=1\n", encoding="utf-8")

    ran = answer(folder, *TAKEN[:7], "smtp", *MAIL)

    assert ran.code == 2
    assert "init overwrites nothing" in ran.err
    assert everything(folder) == [".env"]


@pytest.mark.usefixtures("mail_server")
def test_what_the_mail_servers_own_options_refuse_is_told_and_nothing_is_written(
    run: Callable[..., Ran], folder: Path
) -> None:
    ran = run("init", str(folder), *YES, "--send", "smtp", "--smtp-host", "two words")

    assert ran.code == 2
    assert "this is not the name of a server" in ran.err
    assert not folder.exists()


@pytest.mark.usefixtures("mail_server")
@pytest.mark.parametrize("more", [("--yes",), ("--name", "Riverside", "--country", "DE")])
def test_which_mail_server_it_is_is_guessed_by_nobody(
    run: Callable[..., Ran], folder: Path, more: tuple[str, ...]
) -> None:
    words = ("init", str(folder), "--contents", "snapshot", "--send", "smtp", *more)

    ran = run(*words)

    assert ran.code == 2
    assert "what --smtp-host would say cannot be guessed" in ran.err
    assert "name --smtp-host" in ran.err
    assert not folder.exists()

    assert run(*words, "--smtp-host", "localhost").code == 0
    assert settings_in(folder).notifiers["smtp"].options.host == "localhost"


@pytest.mark.usefixtures("mail_server")
def test_without_a_terminal_the_password_comes_from_the_environment(
    run: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("init", str(folder), *YES, *BY_MAIL, "--smtp-user", "relay")
    monkeypatch.setenv("SMTP_PASSWORD", "from outside")

    assert run(*words).code == 0

    options = settings_in(folder).notifiers["smtp"].options
    assert options.password.get_secret_value() == "from outside"


@pytest.mark.usefixtures("mail_server")
def test_a_login_without_its_password_is_refused(run: Callable[..., Ran], folder: Path) -> None:
    ran = run("init", str(folder), *YES, *BY_MAIL, "--smtp-user", "relay")

    assert ran.code == 2
    assert "SMTP_PASSWORD" in ran.err
    assert not folder.exists()


@pytest.mark.skipif("smtp" not in plugins.names("notifiers"), reason="there is no mail notifier")
def test_the_mail_server_that_there_is_takes_what_init_writes(
    run: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "from outside")
    ran = run(
        *("init", str(folder), *YES, *BY_MAIL, "--smtp-user", "relay"),
    )

    assert ran.code == 0, ran
    try:
        loaded = load(folder / "settings.yaml", environ={})
    except SettingsError as error:
        pytest.fail(str(error))
    assert [f for f in loaded.findings if f.severity == "error"] == []


def test_the_inbox_is_where_the_source_looks_for_files(
    run: Callable[..., Ran], folder: Path
) -> None:
    ran = run("init", str(folder), *YES, "--json")

    assert json.loads(ran.out)["inbox"] == str(folder / "drops" / "reception")
    assert (folder / "drops" / "reception").is_dir()
