"""The words we say to people, a folder a language, and how they are made to fit.

`Words.render` makes one message. Jinja2 and Babel are imported by the first text that needs them.
"""

from sync.words.facts import DigestChange, DigestLine, TextFacts
from sync.words.texts import Rendered, Words

__all__ = ["DigestChange", "DigestLine", "Rendered", "TextFacts", "Words"]
