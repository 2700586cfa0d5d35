"""The agent's core on an engine whose disk it prunes: questions wait until the test has them answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.support.core import INFO, NOW, Host
from tests.support.fake_engine import FakeEngine
from tests.support.pruning import MIB, image
from watchtower_agent.actions.disk import Answer, Disk
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.observations import Observation
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.disk_usage import DiskUsage, Image
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineFound
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.removal import DiskUnlisted, Fate, Look, Removal, Removed, Retagged, Retagging, Space
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.pruning.rules import DAY

SIZE = 1000 * MIB
FOUR = ("a", "b", "c", "d")
POLICY = """
- name: tidy
  when: host.disk.percent > 80%
  cooldown: 10m
  prune: {until: host.disk.percent < 50%, images: {keep_newest: 0, without_digest: true, keep: ["kept/*"]}}
"""


class PrunedHost(Host):
    """The agent's core on an engine whose disk it prunes.

    Attributes:
        engine: Its disk. A test puts in what there is, and `used` says how full it is.
        used: Share of the disk that is used, besides the images.
        asked: What the engine was asked and has not answered, in order.
        let_out: Every removal that was let out.
        begun: Passes that were begun and have not ended.
        frees: An image that is deleted gives its space back.
        engine_started: When the engine did; None: nobody tells.
    """

    engine_started: float | None = NOW - 60 * DAY

    def __init__(
        self, policies: str = POLICY, *, mode: str = "enforce", own: tuple[str, ...] = (), volumes: bool = False
    ) -> None:
        self.engine = FakeEngine()
        self.used = 0.4
        self.frees = True
        self.asked: list[Look | Removal | Retagging] = []
        self.let_out: list[Removal] = []
        self.begun: list[Intent] = []
        self.on_removal: Callable[[Removal], None] = lambda _: None
        protection = Protection(observe=mode == "observe", own_containers=own, prune_volumes=volumes)
        self._lost_bytes = 0
        super().__init__(policies, mode=mode, protection=protection)

    def connect(self, *, restarted: bool = False, origin: Origin = Origin.STREAM) -> None:
        self.see(
            EngineFound(info=replace(INFO, started_at=self.engine_started), restarted=restarted, at=self.clock.wall)
        )
        self.read(origin=origin)
        self.relist()
        self.deliver()

    def see(self, *observations: Observation) -> Effects:
        effects = super().see(*observations)
        for outcome in effects.outcomes:
            self.begun = [each for each in self.begun if each.decision.id != outcome.decision.id]
        for intent in effects.begun:
            assert not self.begun, "two passes at once"
            self.begun.append(intent)
        for removal in effects.removals:
            assert not any(isinstance(each, Removal) for each in self.asked), "two removals at once"
            attempts = [each.value["attempt"] for each in effects.records if each.kind == "prune" and each.value]
            assert [each["id"] for each in attempts if isinstance(each, dict)] == [removal.id], "durable before"
            self.on_removal(removal)
            self.let_out.append(removal)
            self.asked.append(removal)
        self.asked.extend(effects.retaggings)
        if effects.look is not None:
            assert not any(isinstance(each, Look) for each in self.asked), "two looks at once"
            self.asked.append(effects.look)
        return effects

    def dies(self, away: float = 0.0) -> None:
        self.asked.clear()
        self.begun.clear()
        super().dies(away)

    # --- the engine's disk --------------------------------------------------------------------------------------

    def has(self, *images: Image) -> None:
        """These images are there, beside those that were."""
        self.engine.disk = replace(self.engine.disk, images=(*self.engine.disk.images, *images))

    @property
    def space(self) -> Space:
        """How much there is."""
        taken = self.used * SIZE + sum(each.size for each in self.engine.disk.images) + self._lost_bytes
        return Space(total=SIZE, free=int(SIZE - taken), inodes=1000, free_inodes=900)

    @property
    def percent(self) -> float:
        """How full it is."""
        return 100 * self.space.used

    @property
    def removals(self) -> list[str]:
        """Names of all that the engine was asked to delete."""
        return [each.name for each in self.let_out]

    def disk(self) -> DiskUsage:
        """What there is now."""
        self.engine.disk = replace(self.engine.disk, at=self.clock.wall)
        return self.engine.disk

    def answer(self) -> Answer:
        """What the engine answers to the oldest question, which the agent has yet to be told."""
        self.disk()
        question, answers = self.asked.pop(0), list[Answer]()
        before = self.space

        async def space() -> Space:
            lost = self.space.free - before.free
            if not self.frees and lost > 0:
                self._lost_bytes += lost
            return self.space

        async def asked() -> None:
            disk = Disk(self.engine, measure=space, sink=answers.append)
            if isinstance(question, Look):
                disk.look(question)
            elif isinstance(question, Retagging):
                disk.retag(question)
            else:
                disk.remove(question)
            await disk.finish(5)

        asyncio.run(asked())
        (answer,) = answers
        return answer

    def answers(self, questions: int = 1000) -> None:
        """The engine answers so many questions, and those that follow."""
        while self.asked and questions:
            self.clock.advance(0.01)
            self.see(self.answer())
            questions -= 1

    def refuses(self, why: str = "the engine hiccups") -> None:
        """The engine does not answer the oldest question, or not in time."""
        question = self.asked.pop(0)
        if isinstance(question, Look):
            self.see(DiskUnlisted(reason=why, look=question))
        elif isinstance(question, Retagging):
            self.see(Retagged(retagging=question, reason=why))
        else:
            self.see(Removed(removal=question, fate=Fate.FAILED, reason=why, space=self.space))

    def settled(self, *, days: float = 30) -> None:
        """All that is there was seen, and left alone for so many days."""
        self.answers()
        self.clock.advance(days * DAY)
        self.ping()
        self.tick(2)
        self.answers()

    def short(self, seconds: int = 1) -> None:
        """Seconds pass, and the disk is as full as it is."""
        for _ in range(seconds):
            self.tick(host_disk_percent=self.percent)

    def until_asked(self, what: type[Removal | Retagging] | Look, seconds: int = 20) -> None:
        """Time passes and the engine answers until it is asked for such a thing."""
        for _ in range(seconds):
            for _ in range(1000):
                if self.asked and (
                    self.asked[0] is what or (isinstance(what, type) and isinstance(self.asked[0], what))
                ):
                    return
                if not self.asked:
                    break
                self.answers(1)
            self.short()
        raise AssertionError(f"not asked for {what}")

    def by_hand(self, policy: str = "tidy") -> None:
        """A person sets a policy off."""
        self.see(TriggerAsked(policy=policy, target_id=None, correlation_id=f"hand-{self.clock.monotonic}"))

    # --- what it says -------------------------------------------------------------------------------------------

    def notices(self, action: str) -> list[Notice]:
        """What was told under that name."""
        return [each for each in self.of(Notice) if each.action == action]

    @property
    def outcomes(self) -> list[Outcome]:
        """Of passes."""
        return [each for each in self.of(Outcome) if each.decision.verb is Verb.PRUNE]

    @property
    def decisions(self) -> list[Decision]:
        """To prune, with their plans."""
        return [each for each in self.of(Decision) if each.verb is Verb.PRUNE]

    def looks(self, look: Look) -> int:
        """How often the engine was asked so."""
        return sum(each.look is look for each in self.steps)


def full(policies: str = POLICY, *, mode: str = "enforce", names: Sequence[str] = FOUR) -> PrunedHost:
    """A host whose disk is 90 % full of images that nobody has used for a month."""
    host = PrunedHost(policies, mode=mode)
    host.has(*(image(name, f"{name}:1") for name in names))
    host.used = 0.9 - 0.1 * len(names)
    host.settled()
    host.clear()
    return host


def deleting(policies: str = POLICY, *, mode: str = "enforce", names: Sequence[str] = FOUR) -> PrunedHost:
    """Such a host in the middle of a pass: the engine was asked to delete the first of these, and has not answered."""
    host = full(policies, mode=mode, names=names)
    host.short()
    host.until_asked(Removal)
    return host
