"""`syncd new-channel`: a plugin's folder, whole or not at all.

What is written lies in `skeleton/`: a plugin for a mall named New Mall, with the new one's names put in place of those.
Outside a checkout of syncd it becomes a distribution of its own, found by its entry point; in the `plugins/` folder of
a checkout only the package is written, and the lines are told that the project needs.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from syncd.sdk.settings import ShopSettings

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 30
PACKAGE = "syncd_new_mall"
ENDING = ".tmpl"


class CannotWrite(ValueError):
    """The folder cannot be written; nothing was. The text says the way out."""


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A folder that was written, and what its author does next, in the order in which it is done."""

    folder: Path
    files: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """One channel's name in its four spellings."""

    slug: str
    title: str

    @property
    def package(self) -> str:
        return f"syncd_{self.slug.replace('-', '_')}"

    @property
    def class_prefix(self) -> str:
        return "".join(part.capitalize() for part in self.slug.split("-"))

    def put_into(self, text: str) -> str:
        """The skeleton's names replaced by these."""
        spelled = {
            PACKAGE: self.package,
            "new_mall": self.package.removeprefix("syncd_"),
            "new-mall": self.slug,
            "NewMall": self.class_prefix,
            "New Mall": self.title,
        }
        return re.sub("|".join(spelled), lambda found: spelled[found[0]], text)


def write_new_channel(slug: str, into: Path, *, title: str = "", taken: Collection[str] = ()) -> NewChannel:
    """Write the folder of a new channel into an existing one. Raises CannotWrite, and then nothing is left behind."""
    names = checked(slug, title, taken)
    if not into.is_dir():
        raise CannotWrite(f"{into} is no folder; make it first, or name another with --into")
    inside = is_plugins_of_a_checkout(into)
    folder = into / (names.package if inside else names.package.replace("_", "-"))
    if folder.exists() or folder.is_symlink():
        raise CannotWrite(f"{folder} is there already; take it away, or choose another name")
    texts = {path: text for path, text in rendered(names) if not inside or path.startswith(names.package)}
    texts = {path.removeprefix(f"{names.package}/") if inside else path: text for path, text in texts.items()}
    try:
        write_whole(folder, texts)
    except OSError as error:
        raise CannotWrite(f"{folder} cannot be written: {error.strerror or error}") from None
    return NewChannel(folder, tuple(sorted(texts)), next_steps(names, folder, inside=inside))


def checked(slug: str, title: str, taken: Collection[str]) -> Names:
    """The names of a channel. Raises CannotWrite for a slug that could not be one."""
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST:
        raise CannotWrite(
            f"{slug!r} is no name of a channel: small letters, digits and single hyphens, a letter first, at most"
            f" {LONGEST} characters, e.g. au-pay"
        )
    if slug in ShopSettings.model_fields or keyword.iskeyword(slug):
        raise CannotWrite(f"{slug!r} is a word of every shop file, so no channel can have it as its table's name")
    if slug.startswith("test"):
        raise CannotWrite(
            f"{slug!r}: pytest would take its classes, which begin with Test, for tests; put a word before it"
        )
    if slug in taken:
        raise CannotWrite(f"there is a channel {slug} already, in an installed plugin; choose another name")
    title = title or slug.replace("-", " ").title()
    if not title.isprintable() or len(title) > LONGEST or set(title) & set('"\\{}|`'):
        raise CannotWrite(f"{title!r} is no title: up to {LONGEST} plain characters without quotes, braces and bars")
    return Names(slug, title)


def is_plugins_of_a_checkout(into: Path) -> bool:
    """Whether a folder is `plugins/` of a checkout of syncd."""
    try:
        table = tomllib.loads((into.resolve().parent / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return into.resolve().name == "plugins" and table.get("project", {}).get("name") == "syncd"


def rendered(names: Names) -> Iterator[tuple[str, str]]:
    """Every file of the folder: its path and its text."""
    for path, source in _walk(files("syncd.testing") / "skeleton", PurePosixPath()):
        yield names.put_into(str(path).removesuffix(ENDING)), names.put_into(source.read_text(encoding="utf-8"))


def _walk(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _walk(one, at / one.name)
        elif one.name.endswith(ENDING):
            yield at / one.name, one


def write_whole(folder: Path, texts: dict[str, str]) -> None:
    """Write all beside its place first, then put it there in one step. Raises OSError, and leaves nothing behind."""
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in texts.items():
            file = part / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        part.chmod(0o755)  # mkdtemp's own is for nobody else
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def next_steps(names: Names, folder: Path, *, inside: bool) -> tuple[str, ...]:
    if not inside:
        return (
            f"cd {folder}",
            "python -m pip install -e '.[dev]'    (beside syncd; then `syncd plugins` lists it)",
            "python -m pytest; ruff check; ruff format --check; mypy",
            "write what quality.toml says is to do; docs/plugins.md walks through it",
        )
    return (
        f'pyproject.toml, [project.entry-points."syncd.plugins"]: {names.slug} = "{names.package}"',
        f"pyproject.toml, packages of hatch: plugins/{names.package}; packages of mypy and the importlinter's lists:"
        f" {names.package}",
        f"make lint; make test ARGS={folder}    (make installs the entry point anew; then `syncd plugins` lists it)",
        "write what quality.toml says is to do; docs/plugins.md walks through it",
    )
