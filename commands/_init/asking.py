"""Asking: on a terminal one by one, each answer judged at once; elsewhere from the options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._init.questions import Question


@dataclass(slots=True)
class Asking:
    """One session of questions: `options` answer beforehand, the rest is asked or proposed.

    `aloud` says that somebody is there to be asked; otherwise those `needed` have to be options, and
    whatever cannot be known. What is printed goes to stderr with `err`.
    """

    options: Mapping[str, str | None]
    aloud: bool
    needed: Collection[str] = ()
    err: bool = False
    given: dict[str, str] = field(default_factory=dict)
    wrong: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def ask(self, questions: Iterable[Question]) -> None:
        """Put the questions; raises SettingsError with every option that cannot stand."""
        for question in questions:
            self.given[question.name] = self._answer(question)
        if self.wrong or self.missing:
            raise SettingsError([*self._lacking(), *self.wrong])

    def _answer(self, question: Question) -> str:
        proposed = question.propose(self.given)
        option = self.options.get(question.name)
        if option is None and not self.aloud and self._lacks(question):
            self.missing.append(question.option)
            return proposed
        if option is not None or not self.aloud:
            answer = proposed if option is None else tidy(option)
            self._judge(question, answer)
            return answer
        return self._aloud(question, proposed)

    def _lacks(self, question: Question) -> bool:
        return question.name in self.needed or not question.known(self.given)

    def _lacking(self) -> Iterator[Finding]:
        if self.missing:
            *some, last = self.missing
            named = f"{', '.join(some)} and {last}" if some else last
            message = f"nobody is asked here, and what {named} would say cannot be guessed"
            yield Finding("error", "not_said", message, f"name {named}")

    def _judge(self, question: Question, answer: str) -> None:
        from msgspec.structs import replace

        if mistake := question.mistake(answer, self.given):
            self.wrong.append(replace(mistake, path=question.option, file="", line=0, column=0))

    def _aloud(self, question: Question, proposed: str) -> str:
        if question.words:
            self._say(question.asks)
        for word, consequence in (question.words or {}).items():
            self._say(f"  {word:<10}{consequence}")
        while True:
            answer = tidy(self._prompt(question, proposed))
            mistake = question.mistake(answer, self.given)
            if mistake is None:
                return answer
            self._say(f"  {mistake.message[:1].upper()}{mistake.message[1:]}: {mistake.fix}.")
            proposed = self._mended(question, mistake) or proposed

    def _prompt(self, question: Question, proposed: str) -> str:
        return str(
            typer.prompt(
                f"One of {', '.join(question.words)}" if question.words else question.asks,
                default=proposed,
                show_default=bool(proposed),
                hide_input=question.secret,
                err=self.err,
            )
        )

    def _mended(self, question: Question, mistake: Finding) -> str | None:
        """Return the answer that a mistake's own remedy names, where it names one that can stand."""
        remedy = mistake.fix.removeprefix("write ").strip('"')
        if remedy == mistake.fix or question.mistake(remedy, self.given):
            return None
        return remedy

    def _say(self, line: str) -> None:
        typer.echo(line, err=self.err)


def tidy(answer: str) -> str:
    """Return an answer on one line, in characters that a file can hold."""
    return " ".join(answer.encode("utf-8", "replace").decode().split())
