"""The settings in force while the agent runs: what is taken over at once, and what waits for the next start."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.settings.model import Settings, value_paths

AT_ONCE: Final = frozenset(
    {
        "mode",
        "mqtt.exec_events",
        "guards.host_budget.max",
        "guards.host_budget.per",
        "guards.shared_cause.share",
        "guards.shared_cause.at_least",
        "guards.shared_cause.within",
        "guards.shared_cause.hold",
        "guards.shared_cause.disk",
        "guards.stateful_images",
        "allow.prune_volumes",
        "allow.restart_engine",
        "http.labels",
        "log.level",
    }
)
"""What is asked for anew each time. All else is built into a part when the agent starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What reading the settings anew has brought.

    Attributes:
        taken: Keys whose value is another one from now on.
        waiting: Keys whose value is another one from the next start on.
        news: Something of this was not so before.
    """

    taken: tuple[str, ...]
    waiting: tuple[str, ...]
    news: bool


@dataclass(slots=True)
class SettingsInForce:
    """One owner of the settings: whoever needs them at present asks here.

    Attributes:
        settings: Those in force.
        waiting: Keys whose value in the file, the environment or the secrets is another one, since it was last read.
        problems: Why they could not be read when that was last tried; empty when they could.
    """

    settings: Settings
    waiting: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def take(self, wanted: Settings) -> Change:
        """From now on these are in force, as far as they can be before the next start."""
        paths = value_paths()
        others = [".".join(path) for path in paths if _value(self.settings, path) != _value(wanted, path)]
        taken = tuple(key for key in others if key in AT_ONCE)
        waiting = tuple(key for key in others if key not in AT_ONCE)
        news = bool(taken or self.problems or waiting != self.waiting)
        for path in paths:
            if ".".join(path) in taken:
                self.settings = _with(self.settings, path, _value(wanted, path))
        self.waiting, self.problems = waiting, ()
        return Change(taken=taken, waiting=waiting, news=news)

    def refuse(self, problems: tuple[str, ...]) -> bool:
        """They can't be read: all stays as it is. Whether that is news."""
        news, self.problems = problems != self.problems, problems
        return news


def _value(settings: Settings, path: tuple[str, ...]) -> object:
    value: object = settings
    for step in path:
        value = getattr(value, step)
    return value


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    """The same settings with another value, which was checked as a part of other settings."""
    *above, last = path
    sections = [settings, *(_value(settings, tuple(above[: depth + 1])) for depth in range(len(above)))]
    for section, name in zip(reversed(sections), (last, *reversed(above)), strict=True):
        value = section.model_copy(update={name: value})  # type: ignore[attr-defined] # every section is a model
    assert isinstance(value, Settings)
    return value
