"""Plugins found one by one: whatever is wrong with one stands in its own status, and every other one loads."""

from __future__ import annotations

import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from syncd.daemon.plugins import GROUP, Plugins, PluginStatus, discover
from syncd.testing.hostile import HostileChannel
from syncd.testing.memory import MemoryChannel

HEAD = """
from syncd.sdk.channel import hookimpl
from syncd.testing.memory import MemoryChannel
"""
GOOD = EntryPoint("good", "syncd.testing.memory", GROUP)
BROKEN = {
    "import": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    "syntax": ("def broken(:", "SyntaxError"),
    "exit": ("raise SystemExit('not today')", "SystemExit: not today"),
    "misspelled": ("@hookimpl\ndef syncd_chanels():\n    return [MemoryChannel]", "syncd_chanels"),
    "undecorated": ("def syncd_channels():\n    return [MemoryChannel]", "has no hook syncd_channels"),
    "silent": ("@hookimpl\ndef syncd_channels():\n    return None", "has no hook syncd_channels"),
    "raises": ("@hookimpl\ndef syncd_channels():\n    raise RuntimeError('bad day')", "RuntimeError: bad day"),
    "bare": ("@hookimpl\ndef syncd_channels():\n    return MemoryChannel", "TypeError"),
    "strings": ("@hookimpl\ndef syncd_channels():\n    return ['memory']", "returned 'memory', not a Channel class"),
    "stranger": ("@hookimpl\ndef syncd_channels():\n    return [dict]", "not a Channel class"),
    "nameless": (
        "from syncd.sdk.channel import Channel\nclass Half(Channel):\n    title = 'Half'\n"
        "@hookimpl\ndef syncd_channels():\n    return [Half]",
        "Half has no slug, settings_type",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def written(folder: Path, name: str, text: str) -> EntryPoint:
    """An entry point that leads to a module of this text."""
    module = f"written_{folder.name.replace('-', '_')}_{name}"
    (folder / f"{module}.py").write_text(HEAD + textwrap.dedent(text) + "\n", encoding="utf-8")
    return EntryPoint(name, module, GROUP)


def status(plugins: Plugins, name: str) -> PluginStatus:
    [found] = [one for one in plugins.found if one.name == name]
    return found


def any_of_them(name: str) -> bool:
    return True


@pytest.mark.parametrize(("name", "text", "error"), [(name, *case) for name, case in BROKEN.items()], ids=BROKEN)
def test_a_broken_plugin_is_named_and_hurts_no_other(folder: Path, name: str, text: str, error: str) -> None:
    plugins = discover(any_of_them, [written(folder, name, text), GOOD])
    assert error in status(plugins, name).error
    assert status(plugins, name).channels == ()
    assert status(plugins, "good") == PluginStatus("good", "syncd.testing.memory", ("memory",))
    assert plugins.channels == {"memory": MemoryChannel}


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    plugins = discover(any_of_them, [EntryPoint("lost", "written_nowhere", GROUP), GOOD])
    assert "written_nowhere" in status(plugins, "lost").error
    assert list(plugins.channels) == ["memory"]


def test_the_second_plugin_of_one_channel_is_set_aside(folder: Path) -> None:
    twin = written(folder, "later", "@hookimpl\ndef syncd_channels():\n    return [MemoryChannel]")
    plugins = discover(any_of_them, [twin, GOOD])
    assert "channel memory is already given" in status(plugins, "later").error
    assert "later is set aside" in status(plugins, "later").error
    assert plugins.channels == {"memory": MemoryChannel}


def test_a_plugin_is_taken_whole_or_not_at_all(folder: Path) -> None:
    half = written(
        folder, "half",
        "class Mine(MemoryChannel):\n    slug = 'mine'\n@hookimpl\ndef syncd_channels():\n    return [Mine, dict]",
    )  # fmt: skip
    plugins = discover(any_of_them, [half, GOOD])
    assert "not a Channel class" in status(plugins, "half").error
    assert plugins.channels == {"memory": MemoryChannel}


def test_a_plugin_that_is_not_allowed_is_not_even_imported(folder: Path) -> None:
    trap = written(folder, "trap", "raise AssertionError('imported')")
    plugins = discover(lambda name: name == "good", [trap, GOOD])
    assert status(plugins, "trap").error == "not in [plugins] allow"
    assert list(plugins.channels) == ["memory"]


def test_several_plugins_give_their_channels_side_by_side() -> None:
    plugins = discover(any_of_them, [GOOD, EntryPoint("bad-mannered", "syncd.testing.hostile", GROUP)])
    assert plugins.channels == {"memory": MemoryChannel, "hostile": HostileChannel}
    assert [one.name for one in plugins.found] == ["bad-mannered", "good"]
    assert not any(one.error for one in plugins.found)


def test_the_installed_plugins_all_load() -> None:
    plugins = discover(any_of_them)
    assert {one.name: one.error for one in plugins.found if one.error} == {}
    assert {"rakuten", "shopify", "files"} <= plugins.channels.keys()
