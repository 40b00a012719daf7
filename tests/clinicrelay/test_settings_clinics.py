"""A folder of clinics: each is read by itself, and none may take another's things."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clinicrelay import SettingsError
from clinicrelay.settings import Broken, Loaded, load_all

Read = Callable[..., dict[str, Loaded | Broken]]

pytestmark = pytest.mark.usefixtures("made_up_plugins")


def clinic(name: str, more: str = "", *, data: str = "", inbox: str = "") -> str:
    return (
        "version: 1\n"
        f"clinic: {{id: {name}, name: A, timezone: UTC, country: DE, language: de}}\n"
        f"data: {data or f'var/{name}'}\n"
        f"sources: {{desk: {{type: csv, contents: delta, inbox: {inbox or f'drops/{name}'}}}}}\n"
        + more
    )


@pytest.fixture
def read_all(tmp_path: Path) -> Read:
    """Write files into a folder and read it as clinics; what was read comes by the file's name."""

    def read_all(
        files: Mapping[str, str], environ: Mapping[str, str] | None = None
    ) -> dict[str, Loaded | Broken]:
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return {one.file.name: one for one in load_all(tmp_path, environ=environ or {})}

    return read_all


def told(one: Loaded | Broken, code: str) -> list[str]:
    return [f"{f.path}:{f.line}:{f.column} {f.message}" for f in one.findings if f.code == code]


# --- which files -------------------------------------------------------------------------------


def test_each_yaml_file_of_a_folder_is_a_clinic_in_the_order_of_their_names(read_all: Read) -> None:
    read = read_all({"b.yaml": clinic("b"), "a.yaml": clinic("a"), "c.yaml": clinic("c")})

    assert list(read) == ["a.yaml", "b.yaml", "c.yaml"]
    assert [one.settings.clinic.id for one in read.values() if isinstance(one, Loaded)] == [*"abc"]


def test_hidden_files_folders_and_all_that_ends_otherwise_are_no_clinics(
    tmp_path: Path, read_all: Read
) -> None:
    (tmp_path / "mappings.yaml").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "d.yaml").write_text(clinic("d"))
    read = read_all({"a.yaml": clinic("a"), ".b.yaml": clinic("b"), "a.yaml~": "x", "c.txt": "x"})

    assert list(read) == ["a.yaml"]


def test_a_clinic_whose_file_ends_in_yml_is_not_passed_over_in_silence(read_all: Read) -> None:
    read = read_all({"a.yaml": clinic("a"), "b.yml": clinic("b"), "c.YAML": clinic("c")})

    assert isinstance(read["a.yaml"], Loaded)
    for name in ("b.yml", "c.YAML"):
        [finding] = read[name].findings
        assert (finding.severity, finding.code) == ("error", "file_name")
        assert f"call it {name[0]}.yaml" in finding.fix


def test_a_folder_without_any_clinic_is_a_mistake_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"no .yaml file in the folder {tmp_path}") as refused:
        load_all(tmp_path, environ={})

    assert refused.value.findings[0].fix


def test_one_file_is_one_clinic_right_or_wrong(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(clinic("a"))
    [right] = load_all(file, environ={})
    file.write_text(clinic("a", "colour: red"))
    [wrong] = load_all(file, environ={})

    assert isinstance(right, Loaded)
    assert isinstance(wrong, Broken)
    assert [f.path for f in wrong.findings] == ["colour"]


def test_the_folder_may_be_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(clinic("a"))
    [read] = load_all(environ={"CLINICRELAY_SETTINGS": str(tmp_path)})

    assert isinstance(read, Loaded)


# --- a broken one ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"a: [", b"clinic: \xff", b"version: 1\ncolour: red\n", clinic("b").encode() + b"x: 1"],
)
def test_a_broken_clinic_is_told_of_and_the_others_go_on(
    tmp_path: Path, read_all: Read, content: bytes
) -> None:
    (tmp_path / "b.yaml").write_bytes(content)
    read = read_all({"a.yaml": clinic("a"), "c.yaml": clinic("c")})

    assert [type(one) for one in read.values()] == [Loaded, Broken, Loaded]
    assert all(f.file == str(tmp_path / "b.yaml") for f in read["b.yaml"].findings)
    assert any(f.severity == "error" for f in read["b.yaml"].findings)


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_to_nothing_is_a_broken_clinic(tmp_path: Path, read_all: Read) -> None:
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone")
    read = read_all({"a.yaml": clinic("a")})

    assert isinstance(read["a.yaml"], Loaded)
    assert [f.code for f in read["b.yaml"].findings] == ["unreadable_file"]


# --- what two must not share -------------------------------------------------------------------


def test_one_clinic_id_twice_is_a_mistake_in_both_files(read_all: Read) -> None:
    read = read_all(
        {
            "a.yaml": clinic("a"),
            "b.yaml": clinic("a", data="other", inbox="elsewhere"),
            "c.yaml": clinic("c"),
        }
    )

    assert isinstance(read["c.yaml"], Loaded)
    for name, other in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
        assert isinstance(read[name], Broken)
        assert told(read[name], "same_clinic") == [
            f"clinic.id:2:14 the clinic id 'a' is that of {other} too"
        ]


@pytest.mark.parametrize(
    ("first", "second", "path", "place"),
    [
        (clinic("a", data="var"), clinic("b", data="./x/../var"), "data", "3:7"),
        (clinic("a", inbox="in"), clinic("b", inbox="drops/../in"), "sources.desk.inbox", "4:53"),
        (clinic("a", inbox="in"), clinic("b", inbox="{folder}/in"), "sources.desk.inbox", "4:53"),
        (
            clinic("a", "notifiers: {out: {type: outbox, folder: ../both}}"),
            clinic("b", "notifiers: {out: {type: outbox, folder: ../both}}"),
            "notifiers.out.folder",
            "5:41",
        ),
        (
            clinic("a", "calendars: {files: {type: ics, folder: ../both}}"),
            clinic("b", "calendars: {files: {type: ics, folder: '{folder}/var/both'}}"),
            "calendars.files.folder",
            "5:40",
        ),
    ],
)
def test_one_folder_twice_is_a_mistake_in_both_files(
    tmp_path: Path, read_all: Read, first: str, second: str, path: str, place: str
) -> None:
    texts = {"a.yaml": first, "b.yaml": second}
    read = read_all({name: text.replace("{folder}", str(tmp_path)) for name, text in texts.items()})

    for name, other in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
        assert isinstance(read[name], Broken)
        [line] = told(read[name], "same_folder")
        assert line.startswith(f"{path}:{place} ")
        assert f"is a folder of {other} too" in line


def test_an_inbox_that_is_another_clinics_outbox_is_one_folder_twice(read_all: Read) -> None:
    read = read_all(
        {
            "a.yaml": clinic("a", "notifiers: {out: {type: outbox, folder: letters}}"),
            "b.yaml": clinic("b", inbox="var/a/letters"),
        }
    )

    assert [f.path for f in read["a.yaml"].findings] == ["notifiers.out.folder"]
    assert [f.path for f in read["b.yaml"].findings] == ["sources.desk.inbox"]


def test_folders_nobody_named_are_shared_as_well(read_all: Read) -> None:
    text = clinic("a").replace("data: var/a\n", "").replace(", inbox: drops/a", "")
    read = read_all({"a.yaml": text, "b.yaml": text.replace("id: a", "id: b")})

    assert [f.path for f in read["a.yaml"].findings] == ["data", "sources.desk.inbox"]
    assert [f.path for f in read["b.yaml"].findings] == ["data", "sources.desk.inbox"]


def test_several_clinics_may_live_in_one_store(tmp_path: Path, read_all: Read) -> None:
    store = f"store: {{url: 'sqlite:///{tmp_path}/one.db'}}"
    read = read_all({"a.yaml": clinic("a", store), "b.yaml": clinic("b", store)})

    urls = {one.settings.store_url for one in read.values() if isinstance(one, Loaded)}
    assert urls == {f"sqlite:///{tmp_path}/one.db"}
    assert not any(one.findings for one in read.values())


def test_what_a_broken_clinic_claims_stays_its_own_as_far_as_it_is_legible(read_all: Read) -> None:
    read = read_all(
        {
            "a.yaml": clinic("a", "colour: red"),
            "b.yaml": clinic("a", data="var/a", inbox="drops/a"),
        }
    )

    assert [f.path for f in read["b.yaml"].findings] == ["clinic.id", "data", "sources.desk.inbox"]


def test_a_default_that_stands_in_for_a_mistake_is_claimed_by_nobody(read_all: Read) -> None:
    broken = clinic("a").replace("id: a", "id: Not Good").replace("var/a", "[x]")
    whole = clinic("riverside", data="var")
    read = read_all({"a.yaml": broken, "b.yaml": whole})

    assert isinstance(read["b.yaml"], Loaded)


def test_two_calendars_of_one_clinic_must_not_share_a_folder_either(read_all: Read) -> None:
    calendars = "calendars: {one: {type: ics}, two: {type: ics}}"
    read = read_all({"a.yaml": clinic("a", calendars)})

    assert told(read["a.yaml"], "same_folder") == [
        "calendars.two.folder:5:36 two and one share a folder and would mend each other's files"
    ]


# --- the environment -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("CLINICRELAY__CLINIC__ID", "x", "clinic"),
        ("CLINICRELAY__CLINIC__NAME", "x", "clinic"),
        ("CLINICRELAY__DATA", "x", "data"),
        ("CLINICRELAY__STORE__INSTANCE_KEY", "x", "store.instance_key"),
        ("CLINICRELAY__SOURCES__DESK__INBOX", "x", "sources"),
        ("clinicrelay__doctors__0__id".upper(), "x", "doctors"),
    ],
)
def test_a_variable_that_would_mix_clinics_is_refused_with_more_than_one(
    read_all: Read, variable: str, value: str, path: str
) -> None:
    read = read_all({"a.yaml": clinic("a"), "b.yaml": clinic("b")}, {variable: value})

    for one in read.values():
        [finding] = one.findings
        assert (finding.code, finding.path) == ("mixes_clinics", path)
        assert variable in finding.message


def test_a_variable_that_would_mix_clinics_is_welcome_where_there_is_one(read_all: Read) -> None:
    [read] = read_all({"a.yaml": clinic("a")}, {"CLINICRELAY__CLINIC__ID": "x"}).values()

    assert isinstance(read, Loaded)
    assert read.settings.clinic.id == "x"


def test_a_variable_that_mixes_nothing_holds_for_every_clinic(read_all: Read) -> None:
    environ = {"CLINICRELAY__STORE__URL": "postgresql://db.example/all"}
    read = read_all({"a.yaml": clinic("a"), "b.yaml": clinic("b")}, environ)

    urls = [one.settings.store_url for one in read.values() if isinstance(one, Loaded)]
    assert urls == ["postgresql+psycopg://db.example/all"] * 2


def test_a_folder_that_a_variable_gives_to_two_clinics_is_told_with_its_name(
    tmp_path: Path, read_all: Read
) -> None:
    text = "notifiers: {out: {type: outbox}}"
    read = read_all(
        {"a.yaml": clinic("a", text), "b.yaml": clinic("b", text)},
        {"CLINICRELAY__NOTIFIERS__OUT__FOLDER": str(tmp_path / "out")},
    )

    for one in read.values():
        [finding] = one.findings
        assert finding.path == "notifiers.out.folder"
        assert "CLINICRELAY__NOTIFIERS__OUT__FOLDER" in finding.message


def test_two_clinics_must_not_leave_their_metrics_in_one_file(read_all: Read) -> None:
    textfile = "monitoring: {textfile: both.prom}"
    read = read_all({"a.yaml": clinic("a", textfile), "b.yaml": clinic("b", textfile)})

    for name, other in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
        [line] = told(read[name], "same_file")
        assert "monitoring.textfile" in line
        assert other in line
