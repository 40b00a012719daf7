"""What a text looks like: which way it runs, and the HTML of an e-mail, made from its text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

    from sync.words.templates import Templates

_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur", "yi", "ps", "sd", "ckb"})
# Classes of UAX #9: what lies well in such a text without help, and what has a direction of its own.
_AT_HOME = frozenset({"R", "AL", "NSM", "WS"})
_STRONG = frozenset({"L", "R", "AL"})
_LRI, _FSI, _PDI = "\u2066", "\u2068", "\u2069"  # left to right; as its first letter; the end
_NO_FENCES = dict.fromkeys(map(ord, f"{_LRI}{_FSI}{_PDI}"))
_MOST_BLOCKS = 1_000
_ISOLATE = re.compile(f"([{_LRI}{_FSI}])([^{_LRI}-{_PDI}]*){_PDI}")


def runs_right_to_left(language: str) -> bool:
    """Whether a language is written from right to left."""
    return language.lower().split("-")[0] in _RIGHT_TO_LEFT


def isolated(value: str, language: str) -> str:
    """Return a value with a fence of two marks around it where its text runs right to left.

    Else the plus of `+4930555010` and the last dot of `J.R.` are shown at the wrong end, and a text
    that begins with `Riverside Clinic` is laid out as if all of it were English. A value in letters
    that run the same way needs none: in an SMS the marks are paid for. A link must have none: mail
    and SMS programs take them for a part of its address.
    """
    if not runs_right_to_left(language):
        return value
    classes = {unicodedata.bidirectional(letter) for letter in value}
    if classes <= _AT_HOME:
        return value
    return f"{_FSI if classes & _STRONG else _LRI}{value}{_PDI}"


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Which lines of a text stand out on its page: when the visit is, a digest's days, who writes."""

    when: str = ""
    days: frozenset[str] = frozenset()
    clinic: str = ""


def page(
    templates: Templates, text: str, title: str, language: str, link: str, emphasis: Emphasis
) -> str:
    """Return a page that needs nothing from outside; only `link` becomes one.

    Anything else that looks like an address stays text: names come from whoever books.
    """
    from markupsafe import Markup

    rtl = runs_right_to_left(language)
    start = "right" if rtl else "left"
    blocks = text.split("\n\n")
    styles = [_style(block, emphasis, last=block is blocks[-1]) for block in blocks]
    made = (
        _block(templates, block, style, start, link)
        for block, style in zip(blocks, styles, strict=True)
    )
    return templates.html(
        "layout",
        {
            "language": language,
            "direction": "rtl" if rtl else "ltr",
            "start": start,
            "title": _bare(title),
            "blocks": Markup("\n".join(made)),  # noqa: S704 - each of them is markup
        },
    )


def _block(templates: Templates, block: str, style: str, start: str, link: str) -> Markup:
    """Return one block of a page, made once for all whose pages have the same."""
    from markupsafe import Markup

    alike = (block, style, start, link if link in block else "")
    if alike not in templates.blocks:
        if len(templates.blocks) >= _MOST_BLOCKS:
            templates.blocks.clear()
        said = {"style": style, "start": start, "lines": _lines(block, link)}
        templates.blocks[alike] = Markup(templates.html("block", said))  # noqa: S704 - escaped there
    return templates.blocks[alike]


def _style(block: str, emphasis: Emphasis, *, last: bool) -> str:
    first = block.partition("\n")[0]
    if emphasis.when and first == emphasis.when:
        return "facts"
    if block in emphasis.days:
        return "heading"
    return "foot" if last and first == emphasis.clinic else ""


def _bare(title: str) -> str:
    """Return a title without fences: nothing is markup in it, and it is never laid out."""
    return title.translate(_NO_FENCES)


def _lines(paragraph: str, link: str) -> list[Markup]:
    from markupsafe import Markup

    lines = paragraph.split("\n")
    if not link:
        return [_marked(line) for line in lines]
    anchor = Markup(
        '<a href="{0}" dir="ltr" class="link" style="color:#0f5f5a;text-decoration:underline">{0}</a>'
    ).format(link)
    return [anchor.join(_marked(piece) for piece in line.split(link)) for line in lines]


def _marked(text: str) -> Markup:
    """Return the text escaped, its fences as markup: mail programs may drop a mark they do not know.

    A `bdi` would say the same; they know the attribute better than the element.
    """
    from markupsafe import Markup, escape

    pieces = _ISOLATE.split(text)  # text, mark, fenced, text, mark, fenced, ..., text
    made = escape(pieces[0])
    for mark, fenced, after in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        direction = "ltr" if mark == _LRI else "auto"
        made += Markup('<span dir="{}">{}</span>{}').format(direction, fenced, after)
    return made
