"""What a template may do: name things, choose, and repeat a list. It reaches nothing, and it ends.

A sandbox alone keeps a template away from the program, not from writing without end: `'x' * 10**9`,
`range`, a macro that calls itself. So what is allowed is a list, and short.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from jinja2 import StrictUndefined, TemplateAssertionError, TemplateSyntaxError, nodes
from jinja2.loaders import BaseLoader
from jinja2.sandbox import ImmutableSandboxedEnvironment

# None of them makes a text much longer than it was.
FILTERS = ("capitalize", "default", "first", "last", "length", "lower", "replace", "trim", "upper")
_LISTS = frozenset({"days", "visits", "changes", "changed", "paragraphs", "lines"})
_ATTRIBUTES = frozenset(
    {"day", "visits", "time", "initials", "modality", "first", "last", "index", "length"}
    | {"what", "before_day", "before_time"}
)
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Tuple),
    *(nodes.List, nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And),
    *(nodes.Or, nodes.Not, nodes.Neg, nodes.Add, nodes.Sub, nodes.Concat, nodes.Getattr),
    *(nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Keyword),
)
_CALLED = {nodes.Assign: "set", nodes.AssignBlock: "set", nodes.Call: "a call with ()"}
_MOST_DEEP = 2  # a digest's days, and the visits of each
_MOST_LETTERS = 20_000


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 cut down to what a sentence needs; whatever else is an error with its line."""

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=lambda name: bool(name and name.endswith(".html.j2")),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in FILTERS} | {"capitalize": _raised}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = self._tree(source, name, filename)
        for line, said in _faults(tree, 0):
            raise TemplateAssertionError(said, line, name, filename)
        return tree

    def _tree(
        self, source: str, name: str | None = None, filename: str | None = None
    ) -> nodes.Template:
        if len(source) > _MOST_LETTERS:
            raise TemplateSyntaxError(f"longer than {_MOST_LETTERS} letters", 1, name, filename)
        return super()._parse(source, name, filename)

    def faults(self, source: str) -> list[tuple[int, str]]:
        """Return line and sentence of all that is not on the list. Raises TemplateSyntaxError."""
        return [*_faults(self._tree(source), 0)]

    def names(self, source: str) -> dict[str, int]:
        """Return the names that a text uses, each with its first line. Raises TemplateSyntaxError."""
        found: dict[str, int] = {}
        for name in _names(self._tree(source), frozenset()):
            found.setdefault(name.name, name.lineno)
        return found


def _raised(text: object) -> str:
    """Raise the first letter only: Jinja's own filter lowers the others, a person's name among them."""
    said = str(text)
    return said[:1].title() + said[1:]


def _names(node: nodes.Node, made: frozenset[str]) -> Iterator[nodes.Name]:
    """Yield the names that no loop around them has made."""
    if not isinstance(node, _NODES):
        return  # it is told of itself
    if isinstance(node, nodes.Name) and node.name not in made:
        yield node
    if isinstance(node, nodes.For):
        for outside in (node.iter, *node.else_):
            yield from _names(outside, made)
        made |= {"loop", *(name.name for name in node.find_all(nodes.Name) if name.ctx == "store")}
    for child in node.iter_child_nodes(exclude=("iter", "else_")):
        yield from _names(child, made)


def _faults(node: nodes.Node, depth: int) -> Iterator[tuple[int, str]]:
    """Yield line and sentence of what is not on the list; nothing is said of what stands inside it."""
    depth += isinstance(node, nodes.For)
    said = _wrong(node) or ("loops stand too deep" if depth > _MOST_DEEP else None)
    if said:
        yield node.lineno, said
    if isinstance(node, _NODES):
        for child in node.iter_child_nodes():
            yield from _faults(child, depth)


def _wrong(node: nodes.Node) -> str | None:
    if not isinstance(node, _NODES):
        return f"{_CALLED.get(type(node), type(node).__name__.lower())} cannot be used in a text"
    if isinstance(node, nodes.For):
        return _wrong_loop(node)
    if isinstance(node, nodes.Getattr) and node.attr not in _ATTRIBUTES:
        return f"there is no .{node.attr} here"
    if isinstance(node, nodes.Filter):
        return _wrong_filter(node)
    return None


def _wrong_loop(loop: nodes.For) -> str | None:
    over = getattr(loop.iter, "attr", None) or getattr(loop.iter, "name", None)
    if loop.recursive or over not in _LISTS:
        return "a loop can only go over days, visits or changes"
    return None


def _wrong_filter(node: nodes.Filter) -> str | None:
    if node.name not in FILTERS:
        near = get_close_matches(node.name, FILTERS, n=1) or [", ".join(FILTERS)]
        return f"there is no filter {node.name!r} here; there is {near[0]}"
    if node.name == "replace" and not _shrinks(node):
        return "replace can only put in what is as short as what it takes out"
    return None


def _shrinks(replace: nodes.Filter) -> bool:
    """Whether a `replace` cannot make a text longer: a chain of those that can never ends."""
    out, into = [getattr(given, "value", None) for given in (*replace.args, None, None)][:2]
    if not isinstance(out, str) or not isinstance(into, str):
        return False
    return 0 < len(out) >= len(into) and len(replace.args) == 2
