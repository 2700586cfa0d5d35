"""What the watchdog is fed by: each part that must go on, by what the running agent asks of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.notify_socket import Ear
from watchtower_agent.model.instant import Instant
from watchtower_agent.parts import Parts
from watchtower_agent.publishing.outbox import PublishingFacts
from watchtower_agent.service import serve_as_service
from watchtower_agent.service_manager import ServiceManager
from watchtower_agent.settings import Settings
from watchtower_agent.vitals import stuck

NOW = 10_000.0
NAMES = {
    "loop": "the loop",
    "samples": "the sampler",
    "session": "the watch over the engine",
    "publisher": "the way to the broker",
}
"""The stand-in that stands still, and what a person calls it."""


def stand_in(**attributes: object) -> Any:  # noqa: ANN401 - it stands in for anything
    return SimpleNamespace(**attributes)


class Agent:
    """Parts that have all just got on."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - as in agent.yaml
        self.loop = stand_in(moved_at=NOW, store_error="")
        self.session = stand_in(moved_at=NOW)
        self.publisher = stand_in(moved_at=NOW, facts=PublishingFacts)
        self.publisher.stir = lambda: self.publisher.moved_at
        engine = stand_in(connected=True, responding=True)
        self.state = stand_in(samples=None, engine=engine, containers={})
        self.sampled(NOW)
        none: Any = None
        self.parts = Parts(
            configuration=stand_in(settings=Settings(**settings)),
            clock=stand_in(now=lambda: Instant(wall=NOW, monotonic=NOW)),
            started=Instant(wall=NOW, monotonic=NOW - 3600),
            turns=none,
            pipeline=stand_in(state=self.state),
            loop=self.loop,
            store=none,
            publisher=self.publisher,
            sampler=none,
            session=self.session,
            disk=none,
            http=None,
        )

    def sampled(self, monotonic: float) -> None:
        self.state.samples = SimpleNamespace(at=Instant(wall=NOW, monotonic=monotonic))

    def stands_still(self, part: str, since: float) -> None:
        """Since so many seconds."""
        if part == "samples":
            self.sampled(NOW - since)
        else:
            getattr(self, part).moved_at = NOW - since

    def stuck(self) -> list[str]:
        return stuck(self.parts.vitals(), NOW)


@pytest.mark.parametrize(("part", "within"), [("loop", 40), ("samples", 70), ("session", 120), ("publisher", 60)])
def test_each_part_that_stands_still_for_too_long_is_named(part: str, within: float) -> None:
    agent = Agent()
    assert agent.stuck() == []
    agent.stands_still(part, within - 1)
    assert agent.stuck() == [], "a busy host, a try that fails"
    agent.stands_still(part, within + 1)
    assert agent.stuck() == [f"{NAMES[part]} for {within + 1} s"]


def test_a_sampler_that_never_came_to_a_sample_stands_still() -> None:
    agent = Agent()
    agent.state.samples = None
    assert agent.stuck() == ["the sampler for 3600 s"]


def test_who_is_asked_seldom_is_waited_for_longer() -> None:
    agent = Agent(sampling={"interval": "1m"}, engine={"timeout": "5m"})
    for part in ("loop", "samples", "session"):
        agent.stands_still(part, 600)
    assert agent.stuck() == []


def test_a_disk_that_does_not_answer_excuses_all_that_wait_for_it() -> None:
    agent = Agent()
    for part in NAMES:
        agent.stands_still(part, 1000)
    agent.loop.store_error = "a write has waited for 1000 s"
    assert agent.stuck() == ["the watch over the engine for 1000 s"]


@pytest.mark.parametrize("part", NAMES)
async def test_the_watchdog_is_not_fed_while_one_of_them_stands_still(tmp_path: Path, part: str) -> None:
    agent = Agent()
    agent.stands_still(part, 1000)
    folder: Any = SimpleNamespace(looked=asyncio.Event())
    folder.looked.set()
    with Ear(str(tmp_path / "notify")) as ear:
        serving = asyncio.create_task(serve_as_service(ServiceManager(ear.address, watchdog=4.0), folder, agent.parts))
        try:
            assert (await ear.hear())[0] == "READY=1"
            assert await ear.hear() == [f"STATUS=stands still: {NAMES[part]} for 1000 s"]
        finally:
            serving.cancel()
