"""Files and functions stay small and say one thing; a name that says nothing is no name."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rules.conftest import Sources

LONGEST_FILE = 420
LONGEST_FUNCTION = 60
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"}
LOOSE_ENDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")

LONG_FUNCTIONS: dict[str, str] = {}
"""`file::function` -> why it is long. An entry that is no longer long fails the test."""


def test_no_module_has_an_empty_name(sources: Sources) -> None:
    empty = [
        sources.name(path)
        for path in sources.product()
        if EMPTY_NAMES & {*re.split(r"[_.]", path.stem), path.parent.name}
    ]
    assert empty == []


def test_files_stay_short(sources: Sources) -> None:
    long = {
        sources.name(path): lines
        for path in sources.files("src", "plugins", "tests", "bench")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_functions_stay_short(sources: Sources) -> None:
    long = {
        f"{sources.name(path)}::{node.name}": lines
        for path in sources.product()
        for node in ast.walk(sources.tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert LONG_FUNCTIONS.keys() - long.keys() == set()


def test_every_module_says_what_it_is(sources: Sources) -> None:
    written = [path for path in sources.product() if path.read_text(encoding="utf-8").strip()]
    silent = [sources.name(path) for path in written if not ast.get_docstring(sources.tree(path))]
    assert silent == []


def test_no_loose_ends(sources: Sources) -> None:
    loose = [
        f"{sources.name(path)}:{number}"
        for path in sources.files("src", "plugins", "tests", "bench")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LOOSE_ENDS.search(line)
    ]
    assert loose == []


def test_only_the_interface_says_not_implemented(sources: Sources) -> None:
    stubs = [
        f"{sources.name(path)}:{line}"
        for path in sources.product()
        if sources.name(path) != "src/syncd/sdk/channel.py"
        for line in _stubs(sources.tree(path))
    ]
    assert stubs == []


def _stubs(module: ast.Module) -> list[int]:
    """Lines of `raise NotImplementedError`."""
    raised = [node for node in ast.walk(module) if isinstance(node, ast.Raise) and node.exc is not None]
    return [node.lineno for node in raised if "NotImplementedError" in ast.unparse(node.exc or node)]
