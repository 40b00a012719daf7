"""What the pages say is so: their links lead somewhere, their commands exist, their settings are right,
and the quickstart does what it shows, word by word.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

import commands
from calendars.google import troubles
from clinicrelay.errors import SettingsError
from clinicrelay.settings import Settings, load

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
QUICKSTART = DOCS / "quickstart.md"
AT_THE_TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = sorted([*(ROOT / name for name in AT_THE_TOP), *DOCS.rglob("*.md")])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


class Block(NamedTuple):
    """A fenced block of a page: its language, the file that it is, and its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(*found) for found in re.findall(r"(?ms)^```(\w*) ?(\S*)\n(.*?)^```$", text)]


def prose(text: str) -> str:
    """A page without its blocks and without code within lines, where nothing is a link."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```$", "", text))


# --- links ---------------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """Every link and image of a page that leads into the repository."""
    found = re.findall(r"\]\(([^)\s]+)[^)]*\)", prose(text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#{1,6} (.+?)\s*$", re.sub(r"(?ms)^```.*?^```$", "", text))
    seen: Counter[str] = Counter()
    made = set()
    for heading in headings:
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return made


def dead_links(page: Path) -> list[str]:
    return [link for link in links(page.read_text("utf-8")) if not _leads(page, link)]


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists() or not there.is_relative_to(ROOT):
        return False
    return not anchor or (there.suffix == ".md" and anchor in anchors(there.read_text("utf-8")))


@each_page
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    assert dead_links(page) == []


def test_a_link_that_leads_nowhere_is_seen() -> None:
    page = DOCS / "README.md"
    text = "[a](nowhere.md) [b](glossary.md#nothing) ![c](line.svg) [d](glossary.md#live) `[e](f)`"

    assert [link for link in links(text) if not _leads(page, link)] == [
        "nowhere.md",
        "glossary.md#nothing",
    ]


def test_anchors_are_those_that_github_makes() -> None:
    text = "# What a file says: `contents`\n## A & B\n## Same\n## Same\n```sh\n# no heading\n```\n"

    assert anchors(text) == {"what-a-file-says-contents", "a--b", "same", "same-1"}


# --- the menu ------------------------------------------------------------------------------------


def menu() -> list[str]:
    """The pages that mkdocs.yml names, in its order."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    return re.findall(r"(?m)^ +- (?:[^:\n]+: )?(\S+\.md)$", text)


def test_every_page_is_in_the_menu_once() -> None:
    pages = [name_of(page).removeprefix("docs/") for page in PAGES if page != ROOT / "README.md"]

    # Both README.md of docs/ and those at the top go by their own names there.
    assert sorted(menu()) == sorted(pages)


def test_every_page_can_be_reached_by_links_from_the_first() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        named = [link.partition("#")[0] for link in links(page.read_text("utf-8"))]
        waiting += [(page.parent / name).resolve() for name in named if name]

    assert [name_of(page) for page in PAGES if page not in found] == []


def site(pages: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a site as `make site` does, from the repository or a copy of its pages."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=pages,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    made = site(ROOT, tmp_path)
    built = [page.read_text("utf-8") for page in tmp_path.rglob("*.html")]
    fetched = r'<(?:script|img|iframe)[^>]+src="?https?:|<link[^>]+href="?https?:|class="?mermaid'

    assert made.returncode == 0, made.stderr
    assert len(built) >= len(menu())
    assert [found for page in built for found in re.findall(fetched, page)] == []


def test_a_page_with_a_heading_that_is_not_there_is_no_site(tmp_path: Path) -> None:
    for name in ("mkdocs.yml", *AT_THE_TOP):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    page = tmp_path / "docs" / "glossary.md"
    page.write_text(page.read_text("utf-8") + "\n[x](quickstart.md#nothing)\n", "utf-8")

    made = site(tmp_path, tmp_path / "site")
    assert made.returncode != 0
    assert "#nothing" in made.stderr


def test_no_page_draws_what_a_reader_would_have_to_fetch_a_program_for() -> None:
    assert [p for p in PAGES for block in blocks(p) if block.language == "mermaid"] == []


# --- commands ------------------------------------------------------------------------------------


def lines_to_type(page: Path) -> Iterator[str]:
    """What a page tells people to type: in its blocks, and within its lines."""
    text = page.read_text("utf-8")
    for block in blocks(page):
        if block.language == "console":
            yield from re.findall(r"(?m)^\$ (clinicrelay .+)$", block.text)
        elif block.language in ("sh", "crontab"):
            yield from re.findall(r"(?m)(?:^|  )(clinicrelay [^#\n]+)", block.text)
    within = re.sub(r"(?ms)^```.*?^```$", "", text)
    yield from re.findall(r"`(clinicrelay (?!COMMAND)[a-z][^`\n]*)`", within)


@cache
def program() -> Any:
    return commands.app(commands.names())


def mistake(line: str) -> str | None:
    """Say what a command line names that is not there; placeholders stand for any value."""
    words = shlex.split(re.sub(r"\[(.*?)\]|…|\.\.\.", "", line.replace("·", " ")))[1:]
    command = program()
    while hasattr(command, "commands"):
        if not words:
            return None  # a group, named as such
        if words[0] not in command.commands:
            return f"{line}: there is no {words[0]!r}"
        command = command.commands[words.pop(0)]
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    unknown = [
        w for w in words if w.startswith("-") and w != "-" and w.split("=")[0] not in options
    ]
    return f"{line}: there is no {unknown[0]}" if unknown else None


@each_page
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    assert [wrong for line in lines_to_type(page) if (wrong := mistake(line))] == []


def test_a_command_or_an_option_that_is_not_there_is_seen() -> None:
    assert mistake("clinicrelay live patients --doctor acar --json") is None
    assert mistake("clinicrelay frobnicate") == "clinicrelay frobnicate: there is no 'frobnicate'"
    assert mistake("clinicrelay live nobody") == "clinicrelay live nobody: there is no 'nobody'"
    assert mistake("clinicrelay sync --fast") == "clinicrelay sync --fast: there is no --fast"


def test_the_pages_name_commands_at_all() -> None:
    assert len([line for page in PAGES for line in lines_to_type(page)]) > 60


# --- settings and mappings -----------------------------------------------------------------------

WHOLE = """
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
sources: {reception: {type: csv, contents: snapshot}}
notifiers: {smtp: {type: smtp, host: smtp.riverside.example, from: a@riverside.example}}
"""


def yaml_blocks() -> list[Any]:
    """Each block of settings: a whole file, or a part that is put into one."""
    return [
        pytest.param(page, block, id=f"{name_of(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(b for b in blocks(page) if b.language == "yaml")
        if "fields" not in _read(block.text)
    ]


def _read(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(text))


@pytest.mark.parametrize(("page", "block"), yaml_blocks())
def test_every_settings_file_and_every_part_of_one_passes_the_check(
    page: Path, block: Block, tmp_path: Path
) -> None:
    for other in blocks(page):
        if other.file and other.file != block.file:
            _write(tmp_path / other.file, other.text)
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings", dirs_exist_ok=True)
    (tmp_path / "templates").mkdir(exist_ok=True)
    file = tmp_path / "settings.yaml"
    settings = _read(block.text)
    if "clinic" in settings:
        file.write_text(block.text, "utf-8")
    else:
        assert set(settings) <= set(Settings.model_fields)
        YAML().dump({**_read(WHOLE), **settings}, file)

    try:
        load(file, environ={}, secrets=False)
    except SettingsError as error:
        pytest.fail("\n".join(f"{f.path}: {f.message}" for f in error.findings))


def test_every_mapping_that_a_page_shows_does_what_its_own_tests_say(tmp_path: Path) -> None:
    shown = [b for p in PAGES for b in blocks(p) if b.language == "yaml" and "\nfields:" in b.text]
    for number, block in enumerate(shown):
        file = _write(tmp_path / f"shown{number}.yaml", block.text)
        assert _tested(file) == (0, "All passed.")

    assert len(shown) >= 2


def _tested(file: Path) -> tuple[int, str]:
    ran = type_in(f"clinicrelay map --test {shlex.quote(str(file))}")
    return ran.code, ran.said.splitlines()[-1]


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


# --- Google Calendar -----------------------------------------------------------------------------


def test_every_sentence_about_a_google_calendar_is_on_its_page_with_who_mends_it() -> None:
    page = (DOCS / "howto" / "connect-google.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.+?) \| (.+) \|$", page)
    told = {code: (says, who.endswith("All")) for code, says, who in rows}
    said = {
        code: (re.sub(r"\{\w+\}", "…", kind.message), kind.everywhere)
        for code, kind in troubles._KINDS.items()
    }

    assert {code: told.get(code) for code in said} == said


# --- the quickstart ------------------------------------------------------------------------------


class Ran(NamedTuple):
    """How a command ended, and all that it said: what is for people, then what is for the eye."""

    code: int
    said: str


def type_in(line: str) -> Ran:
    """Type a line: a command of ours, or a `cp`."""
    words = shlex.split(line)
    if words[0] == "cp":
        shutil.copy(*words[1:])
        return Ran(0, "")
    assert words[0] == "clinicrelay", line
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        commands.main(words[1:])
    assert isinstance(end.value.code, int)
    return Ran(end.value.code, f"{out.getvalue().strip()}\n{err.getvalue().strip()}".strip())


def typed(block: Block) -> Iterator[tuple[str, str]]:
    """The lines of a block that are typed, each with what the page says comes of it."""
    for line, shown in re.findall(r"(?m)^\$ (.+)\n((?:(?!\$ ).*\n)*)", block.text):
        yield line, shown.strip()


def alike(said: str, *, real_clock: bool) -> str:
    """What was said, without what differs each time: ids, the folder and, unless set, the time."""
    said = re.sub(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "RUN", said)
    said = re.sub(r"\bcr[0-9a-v]{32}\b", "MESSAGE", said)
    said = re.sub(r"\S*/settings\.yaml", "settings.yaml", said)
    if real_clock:
        said = re.sub(r"\b[A-Z][a-z]{2} \d\d [A-Z][a-z]{2} \d\d:\d\d\b", "WHEN", said)
        said = re.sub(r"[\d,]+ (rows|kB)", r"N \1", said)
    return said


def test_the_quickstart_does_what_it_shows_word_by_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLINICRELAY_SETTINGS", raising=False)
    count = 0
    for block in blocks(QUICKSTART):
        if block.file:
            _write(Path(block.file), block.text)
        if block.language != "console":
            continue
        for line, shown in typed(block):
            _let_files_lie()
            ran = type_in(line)
            real = "--now" not in line
            asked = line == "clinicrelay live patients"  # shows what is to come, and does nothing
            assert ran.code == (3 if asked else 0), f"{line}\n{ran.said}"
            if shown:
                assert alike(ran.said, real_clock=real) == alike(shown, real_clock=real), line
            count += 1

    assert count > 15
    assert "LIVE" in type_in("clinicrelay status").said.splitlines()[0]


def _let_files_lie() -> None:
    """Let a file in the inbox be old enough to be taken, as it is for who types more slowly."""
    for file in Path("drops/reception").glob("*.csv"):
        os.utime(file, (time.time() - 300,) * 2)


def test_every_block_of_the_quickstart_is_typed_or_known() -> None:
    shell = [block.text for block in blocks(QUICKSTART) if block.language == "sh"]

    assert {block.language for block in blocks(QUICKSTART)} == {"sh", "console", "csv", "yaml"}
    # The first is tried in a fresh clone by .ci/run.
    assert shell == ["make demo\n. .venv/bin/activate\n", "uv tool install .\npipx install .\n"]
