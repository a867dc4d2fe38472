"""Find channel plugins by their entry points, one by one: a broken one is named and hurts no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

import pluggy
import structlog

from syncd.sdk.channel import PROJECT, Channel, Hooks

GROUP = "syncd.plugins"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One entry point: where it leads, which channels it gave, or what was wrong."""

    name: str
    module: str
    channels: tuple[str, ...] = ()
    error: str = ""


@dataclass(slots=True)
class Plugins:
    """Channels by slug, and the status of every entry point."""

    channels: dict[str, type[Channel]] = field(default_factory=dict)
    found: list[PluginStatus] = field(default_factory=list)


def discover(allowed: Callable[[str], bool], points: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load every allowed entry point. Nothing is raised for a plugin: its error stands in its status."""
    plugins = Plugins()
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda one: one.name):
        if not allowed(point.name):
            plugins.found.append(PluginStatus(point.name, point.value, error="not in [plugins] allow"))
            continue
        try:
            given = _load(point)
            plugins.channels = _taken(plugins.channels, point, given)
            plugins.found.append(PluginStatus(point.name, point.value, tuple(one.slug for one in given)))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's import may raise anything; it hurts only itself
            text = f"{type(error).__name__}: {error}"
            plugins.found.append(PluginStatus(point.name, point.value, error=text))
            log.error("plugin_not_loaded", plugin=point.name, error=text)
    return plugins


def _load(point: EntryPoint) -> list[type[Channel]]:
    """Import one plugin and ask its hook. A manager of its own, so that one misspelled hook stays its own."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(point.load(), name=point.name)
    manager.check_pending()
    answers = manager.hook.syncd_channels()
    if not answers:
        raise ValueError("has no hook syncd_channels (decorate it with syncd.sdk.channel.hookimpl)")
    return [channel for answer in answers for channel in answer]


def _taken(
    known: Mapping[str, type[Channel]], point: EntryPoint, given: Iterable[type[Channel]]
) -> dict[str, type[Channel]]:
    """The channels known so far and all those of one plugin: it is taken whole or not at all."""
    taken = dict(known)
    for channel in given:
        if not isinstance(channel, type) or not issubclass(channel, Channel):
            raise TypeError(f"syncd_channels returned {channel!r:.80}, not a Channel class")
        missing = [name for name in ("slug", "title", "settings_type") if not hasattr(channel, name)]
        if missing:
            raise TypeError(f"{channel.__name__} has no {', '.join(missing)}")
        if channel.slug in taken:
            raise ValueError(f"channel {channel.slug} is already given by another plugin; {point.name} is set aside")
        taken[channel.slug] = channel
    return taken
