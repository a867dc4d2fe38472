"""Nothing in the repository names the machine it was written on, or where its packages came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rules.conftest import Sources

FOLDERS = ("src", "plugins", "tests", "bench", "docs", "etc", "systemd", ".ci")
TEXTS = {"", ".py", ".toml", ".md", ".json", ".csv", ".service", ".yml", ".yaml", ".txt", ".html", ".sh", ".xml"}
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w+)/"
    r"|(?<!no-emit-)index[-_]" + r"url|(?<!no-emit-)(?:trusted-host|find-links)|PIP_[A-Z]*IND" + r"EX"
)


def test_no_machine_path_and_no_package_index(sources: Sources) -> None:
    tops = [path for path in sources.root.iterdir() if path.is_file()]
    texts = [path for path in [*tops, *sources.files(*FOLDERS, pattern="*")] if path.suffix in TEXTS]
    found = []
    for path in texts:
        if path.name in ("test_no_machine_paths.py", ".git"):  # a worktree has a file of that name
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{sources.name(path)}:{number} {line.strip()[:100]}")
    assert found == []


def test_the_rule_finds_what_it_is_for() -> None:
    assert MACHINE.search("venv at /work/" + "main")
    assert MACHINE.search("pip install --extra-index" + "-url https://example.com")
    assert not MACHINE.search("unpack to ./work/ and see https://example.com/work/list")
