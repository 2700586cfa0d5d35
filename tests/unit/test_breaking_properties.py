"""No budget is ever exceeded, whatever engine, people, clocks and crashes of agent and host do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.core import INFO, Host, ended
from tests.support.numbers import examples
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.observations import Observation
from watchtower_agent.model.observation import EngineFound, EngineLost
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

POLICIES = """
  - {name: a, select: {name: "*"}, on: {container: die}, cooldown: 0s, backoff: {initial: 0s},
     budget: {max: 2, per: 5m, probe_after: 1m}, then: {restart: {}}}
  - {name: b, select: {name: "*"}, when: status == "exited", cooldown: 1s, backoff: {initial: 1s, max: 10s},
     budget: {max: 3, per: 2m, probe_after: 10s}, then: {start: {}}}
  - {name: c, select: {name: "*"}, when: memory.percent > 90%, cooldown: 0s,
     budget: {max: 1, per: 1m, probe_after: 90s}, then: {stop: {}}}
"""
BUDGETS = {"a": (2, 300.0), "b": (3, 120.0), "c": (1, 60.0)}
OF_HOST = (4, 240.0)
NAMES = ("web", "api", "db")
REBOOT = 20.0
"""Seconds."""


class Counted(Host):
    """Counts what the engine is asked for by a clock that nobody steps.

    Attributes:
        asked: Policy, target, and when.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float]] = []
        host_budget = Budget(most=OF_HOST[0], per=OF_HOST[1], probe_after=20.0)
        super().__init__(POLICIES, first_start=True, protection=Protection(host_budget=host_budget))
        for name in NAMES:
            self.docker.create(name, silent=True)
        self.connect()

    @property
    def time(self) -> float:
        """Seconds that have really passed: a reboot takes some, and sets the monotonic clock elsewhere."""
        return self.clock.monotonic + (REBOOT - 5000.0) * self.clock.boot.count("+1")

    def attempt(self, intent: object) -> Outcome:
        outcome = super().attempt(intent)  # type: ignore[arg-type] # handed on
        if outcome.result is not Result.ABANDONED:
            self.ask(outcome.decision.policy, outcome.decision.target.name)
        return outcome

    def see(self, *observations: Observation) -> Effects:
        effects = super().see(*observations)
        names = Counter(intent.decision.target.name for intent in effects.intents)
        assert all(count == 1 for count in names.values())
        return effects

    def ask(self, policy: str, target: str) -> None:
        """The engine is asked for something: every budget must have had room for it."""
        most, per = BUDGETS[policy]
        mine = [at for _, name, at in self.asked if name == target and self.time - at < per - 1]
        assert len(mine) < most, f"{policy} exceeds its {most} per {per} on {target}: {self.asked}"
        all_of_them = [at for _, _, at in self.asked if self.time - at < OF_HOST[1] - 1]
        assert len(all_of_them) < OF_HOST[0], f"{policy} exceeds the host's budget: {self.asked}"
        self.asked.append((policy, target, self.time))


def crash(name: str) -> Callable[[Counted], None]:
    def happens(agent: Counted) -> None:
        if agent.docker.find(name).running:
            agent.docker.crash(name)

    return happens


def runs(agent: Counted, seconds: int, *, memory_percent: float = 1.0) -> None:
    for _ in range(seconds // 5):
        agent.clock.advance(4)
        agent.tick(memory_percent=memory_percent)
        agent.carry_out()


def refused(agent: Counted) -> None:
    """The engine was asked, and said no."""
    for intent in list(agent.open.values()):
        if agent.pipeline.recheck(intent, agent.clock.now()) is None:
            agent.ask(intent.decision.policy, intent.decision.target.name)
            agent.see(ended(intent, Result.FAILED, agent.clock.wall, agent.clock.wall))
        else:
            agent.see(ended(intent, Result.ABANDONED, agent.clock.wall, agent.clock.wall, {"guard": "breaker"}))


def killed(agent: Counted) -> None:
    agent.dies(away=1.0)
    agent.comes_back()


def killed_while_it_acts(agent: Counted) -> None:
    for intent in list(agent.open.values()):
        if agent.pipeline.recheck(intent, agent.clock.now()) is None:
            agent.ask(intent.decision.policy, intent.decision.target.name)
            agent.docker.do(intent)
    killed(agent)


def rebooted(agent: Counted) -> None:
    agent.clock.reboot(REBOOT)
    agent.comes_back()


def stepped(seconds: float) -> Callable[[Counted], None]:
    def happens(agent: Counted) -> None:
        agent.clock.step_wall(seconds)
        agent.tick()  # the agent sees it; a step while the host is off could be time that passed

    return happens


def engine_restarts(agent: Counted) -> None:
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(EngineFound(info=INFO, restarted=True, at=agent.clock.wall))
    agent.connect()


acts: st.SearchStrategy[Callable[[Counted], object]] = st.one_of(
    st.sampled_from(NAMES).map(crash),
    st.sampled_from(NAMES).map(crash),
    st.sampled_from(
        [
            lambda agent: runs(agent, 5),
            lambda agent: runs(agent, 30),
            lambda agent: runs(agent, 120),
            lambda agent: runs(agent, 15, memory_percent=95.0),
            lambda agent: agent.deliver(),
            lambda agent: agent.carry_out(),
            lambda agent: agent.tick(2),
            refused,
            killed,
            killed_while_it_acts,
            rebooted,
            engine_restarts,
            stepped(-1000.0),
            stepped(1000.0),
        ]
    ),
)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(acts, max_size=40))
def test_no_budget_is_exceeded(happenings: list[Callable[[Counted], object]]) -> None:
    agent = Counted()
    for happens in happenings:
        happens(agent)


def test_each_try_that_the_engine_refuses_counts() -> None:
    """It is about the same condition of the same life as the one before, and another try all the same."""
    agent = Counted()
    agent.docker.crash("web")
    agent.tick()
    tries: list[str] = []
    for _ in range(20):
        tries += [intent.decision.id for intent in agent.open.values()]
        refused(agent)
        agent.clock.advance(4)
        agent.tick()

    assert len(agent.asked) == len(set(tries)) == BUDGETS["b"][0]


def test_what_crashes_for_ever_uses_its_budget_and_no_more() -> None:
    agent = Counted()
    for _ in range(700):
        for name in NAMES:
            crash(name)(agent)
        agent.deliver()
        runs(agent, 5)

    assert 10 < len(agent.asked) <= 4 * (agent.time / OF_HOST[1] + 1)
