"""Where the source lies and what of it the rules read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNREAD = {".venv", ".git", "__pycache__", "results", "build", "dist", ".hypothesis", ".mypy_cache", ".ruff_cache"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


class Sources:
    """The files of this repository and what they use."""

    root = ROOT

    def files(self, *folders: str, pattern: str = "*.py") -> list[Path]:
        """Every file of these folders, sorted."""
        found = (path for folder in folders for path in (ROOT / folder).rglob(pattern))
        return sorted(path for path in found if path.is_file() and not UNREAD & set(path.relative_to(ROOT).parts))

    def product(self) -> list[Path]:
        """What is shipped: the core and the plugins, without their tests."""
        return [path for path in self.files("src", "plugins") if "tests" not in path.relative_to(ROOT).parts]

    def name(self, path: Path) -> str:
        return path.relative_to(ROOT).as_posix()

    def tree(self, path: Path) -> ast.Module:
        return parsed(path)

    def uses(self, module: ast.Module) -> Iterator[tuple[int, str]]:
        """Every dotted name a module uses, imports written out: `dt.now` as `datetime.datetime.now`."""
        imported = dict(_imported(module))
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
                head, _, rest = _dotted(node).partition(".")
                if head in imported:
                    yield node.lineno, f"{imported[head]}.{rest}".rstrip(".")


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


@pytest.fixture(scope="session")
def sources() -> Sources:
    return Sources()
