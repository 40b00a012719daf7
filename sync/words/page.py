"""The HTML of an e-mail, made from its text: paragraphs and, where there is one, the join link."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

    from sync.words.templates import Templates

_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur", "yi", "ps", "sd", "ckb"})


def page(templates: Templates, text: str, title: str, language: str, link: str) -> str:
    """Return a page that needs nothing from outside; only `link` becomes one.

    Anything else that looks like an address stays text: names come from whoever books.
    """
    rtl = language.lower().split("-")[0] in _RIGHT_TO_LEFT
    return templates.layout(
        {
            "language": language,
            "direction": "rtl" if rtl else "ltr",
            "title": title,
            "paragraphs": [_lines(p, link) for p in text.split("\n\n")],
        }
    )


def _lines(paragraph: str, link: str) -> list[Markup]:
    from markupsafe import Markup, escape

    anchor = Markup('<a href="{0}">{0}</a>').format(link)
    if not link:
        return [escape(line) for line in paragraph.split("\n")]
    return [
        anchor.join(escape(piece) for piece in line.split(link)) for line in paragraph.split("\n")
    ]
