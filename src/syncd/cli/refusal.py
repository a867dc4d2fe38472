"""What a command ends with when it cannot do what was asked: one sentence with the way out, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OK = 0
FAILED = 1
EX_CONFIG = 78  # sysexits.h; systemd does not restart on it


class Refused(Exception):
    """The command was refused or failed; nothing more was done. `str()` is for the person who typed it."""

    def __init__(
        self,
        text: str,
        *,
        where: str | None = None,
        status: int | None = None,
        code: int = FAILED,
        mistakes: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(text)
        self.where = where
        self.mistakes = tuple(mistakes)  # (where, text) of every item that is wrong
        self.status = status
        self.code = code

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {"error": str(self)} | ({} if self.where is None else {"where": self.where})


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file of a person. `column` is the column's number, counted from 1, and its heading."""

    file: str
    line: int
    column: tuple[int, str] | None
    text: str

    def __str__(self) -> str:
        column = "" if self.column is None else f" column {self.column[0]} ({self.column[1]}):"
        return f"{self.file}:{self.line}:{column} {self.text}"

    def document(self) -> dict[str, Any]:
        number, heading = self.column or (None, None)
        return {"file": self.file, "line": self.line, "column": number, "heading": heading, "text": self.text}


class WrongFile(Refused):
    """A file that cannot be used as it is. Nothing was changed. Names every mistake, the first ones in the text."""

    SHOWN = 20

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"… and {len(self.problems) - self.SHOWN} more")
        super().__init__("\n".join([*lines, "Nothing was changed."]))

    def document(self) -> dict[str, Any]:
        return {"error": str(self), "problems": [problem.document() for problem in self.problems]}
