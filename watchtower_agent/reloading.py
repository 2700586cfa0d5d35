"""The settings read anew while the agent runs: taken over, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from watchtower_agent.assembly import http_labels, shared_cause_rule
from watchtower_agent.errors import SettingsError
from watchtower_agent.identity import protected_by, surroundings_of
from watchtower_agent.logs import set_log_level
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.settings_news import SettingsRejected, SettingsTaken
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.ports.clock import Clock
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.serving.http import HttpServer
from watchtower_agent.settings import LoadedSettings, settings_digest, with_host
from watchtower_agent.settings.in_force import Change, SettingsInForce


class Reloading:
    """Reads the settings where they were read at the start, and hands them to the parts that can take others.

    Args:
        in_force: The owner of the settings.
        read: Reads them all: file, environment, secrets, what the command line said. Blocks; raises `SettingsError`.
        engine_url: The engine's address as it was found at the start.
        clock: The host's clocks.
        sink: Takes what the loop is to know.
        pipeline: Knows what no policy may touch as it is at present.
        folder: Doubts about policies depend on the settings.
        composer: Decides what is published.
        http: Shows labels; None where nothing listens.
    """

    def __init__(
        self,
        *,
        in_force: SettingsInForce,
        read: Callable[[], LoadedSettings],
        engine_url: str,
        clock: Clock,
        sink: Callable[[SettingsTaken | SettingsRejected], None],
        pipeline: Pipeline,
        folder: PolicyFolder,
        composer: CloudEventComposer,
        http: HttpServer | None,
    ) -> None:
        self._in_force = in_force
        self._read = read
        self._engine_url = engine_url
        self._clock = clock
        self._sink = sink
        self._pipeline = pipeline
        self._folder = folder
        self._composer = composer
        self._http = http

    async def reload(self) -> None:
        """Read the settings now, and what depends on them. What is not new is not told again."""
        try:
            # In a thread: a disk that hangs must not hold up the loop.
            loaded = await asyncio.to_thread(self._read)
        except SettingsError as error:
            problems = tuple(str(error).splitlines()) or ("not known",)
            if self._in_force.refuse(problems):
                self._sink(SettingsRejected(problems=problems, at=self._clock.now().wall))
            return
        wanted = loaded.settings
        if not loaded.host_given:
            wanted = with_host(wanted, self._in_force.settings.host)  # as it was settled at the start
        change = self._in_force.take(wanted)
        if change.taken:
            self._hand_over()
        if change.news:
            self._sink(self._told(change))

    def _hand_over(self) -> None:
        settings = self._in_force.settings
        set_log_level(settings.log.level)
        self._composer.exec_events = settings.mqtt.exec_events
        self._folder.surroundings = surroundings_of(settings, self._engine_url)
        if self._http is not None:
            self._http.label(http_labels(settings))

    def _told(self, change: Change) -> SettingsTaken:
        settings = self._in_force.settings
        return SettingsTaken(
            mode=settings.mode,
            protection=protected_by(settings, self._pipeline.protection),
            shared_cause=shared_cause_rule(settings),
            digest=settings_digest(settings),
            taken=change.taken,
            waiting=change.waiting,
            at=self._clock.now().wall,
        )
