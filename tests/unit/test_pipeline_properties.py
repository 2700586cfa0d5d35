"""What holds however engine, people, clock and crashes of the agent take turns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.core import INFO, Docker, Host, ended
from tests.support.numbers import examples
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.observations import Observation
from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent, Origin
from watchtower_agent.model.observation import EngineFound, EngineLost, EventsObserved, GapObserved
from watchtower_agent.model.outcome import Result

POLICIES = """
  - {name: revive, select: {name: "*"}, on: {container: die}, cooldown: 10s, then: {restart: {}, notify: {}}}
  - {name: full, select: {name: "*"}, when: memory.percent > 90%, for: 2s, cooldown: 5s, then: {restart: {}}}
  - {name: sick, select: {name: "*"}, on: {container: health_status}, cooldown: 7s, then: {stop: {}}}
  - {name: up, select: {name: "*"}, when: status == "exited", cooldown: 3s, then: {start: {}}}
"""
COOLDOWNS = {"revive": 10.0, "full": 5.0, "sick": 7.0, "up": 3.0}
NAMES = ("web", "api", "kept", "held")


class Watched(Host):
    """Looks at the invariants after every step, on top of those that every `Host` looks at."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        super().__init__(POLICIES, first_start=True)
        self.docker.create("web", silent=True, check=True)
        self.docker.create("api", silent=True, restart_policy="always")
        self.docker.create("kept", silent=True, labels={"watchtower-agent.protect": "true"})
        self.docker.create("held", silent=True)
        self.connect()

    def see(self, *observations: Observation) -> Effects:
        effects = super().see(*observations)
        for intent in effects.intents:
            decision = intent.decision
            assert decision.target.name != "kept", "no action on what is protected"
            engine = self.pipeline.state.engine
            assert engine.connected, "no action while the engine is down"
            assert engine.listed, "no action before the listing"
            key = decision.policy, decision.target.name
            since = self.clock.monotonic - self._last.get(key, -1e9)
            assert since >= COOLDOWNS[decision.policy] - 1e-6, f"{key} again after {since} s"
            self._last[key] = self.clock.monotonic
        return effects


def on_engine(
    act: Callable[[Docker, str], object], names: Sequence[str] = NAMES
) -> st.SearchStrategy[Callable[[Watched], None]]:
    """Somebody or something does that to one of the containers, if it is there."""

    def do(name: str) -> Callable[[Watched], None]:
        def happens(agent: Watched) -> None:
            if any(each.name == name for each in agent.docker.containers.values()):
                act(agent.docker, name)

        return happens

    return st.sampled_from(names).map(do)


def create(docker: Docker, name: str) -> None:
    """Compose recreates it: another id, the same name and labels."""
    was = docker.find(name)
    docker.remove(name, force=True)
    docker.create(name, labels=was.labels, identity=hashlib.sha256(was.id.encode()).hexdigest())


def fail(agent: Watched) -> None:
    for intent in list(agent.open.values()):
        agent.see(ended(intent, Result.FAILED, agent.clock.wall, agent.clock.wall))


def lose(agent: Watched) -> None:
    agent.docker.lose_events()
    agent.see(GapObserved(reason="audit", since=agent.clock.wall - 1, until=agent.clock.wall))
    agent.relist()


def down(agent: Watched) -> None:
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))


def found(agent: Watched) -> None:
    agent.see(EngineFound(info=INFO, restarted=False, at=agent.clock.wall))


def crash(agent: Watched) -> None:
    agent.dies(away=1.0)
    agent.comes_back()


def crash_and_lose(agent: Watched) -> None:
    agent.dies(away=3.0)
    agent.comes_back(lost=True)


def act_and_crash(agent: Watched) -> None:
    for intent in list(agent.open.values()):
        there = intent.decision.target.id in agent.docker.containers
        if there and agent.pipeline.recheck(intent, agent.clock.now()) is None:
            agent.docker.do(intent)
    crash(agent)


def if_running(act: Callable[[Docker, str], object]) -> Callable[[Docker, str], None]:
    def do(docker: Docker, name: str) -> None:
        if docker.find(name).status is ContainerStatus.RUNNING:
            act(docker, name)

    return do


engine_acts = st.one_of(
    on_engine(if_running(Docker.crash)),
    on_engine(if_running(Docker.oom)),
    on_engine(if_running(Docker.stop)),
    on_engine(if_running(Docker.kill)),
    on_engine(if_running(Docker.restart)),
    on_engine(if_running(Docker.health)),
    on_engine(if_running(lambda docker, name: docker.health(name, Health.HEALTHY))),
    on_engine(if_running(Docker.pause)),
    on_engine(lambda docker, name: docker.unpause(name) if docker.find(name).status == "paused" else None),
    on_engine(Docker.start),
    on_engine(lambda docker, name: docker.remove(name, force=True)),
    on_engine(create),
)
agent_acts: st.SearchStrategy[Callable[[Watched], object]] = st.sampled_from(
    [
        Watched.deliver,
        Watched.deliver,
        Watched.read,
        Watched.inspect,
        Watched.relist,
        lambda agent: agent.tick(3, memory_percent=95.0),
        lambda agent: agent.tick(3, memory_percent=10.0),
        lambda agent: agent.tick(9),
        lambda agent: agent.carry_out(),
        lambda agent: agent.carry_out(outcome_first=True),
        fail,
        lose,
        down,
        found,
        Watched.connect,
        crash,
        crash_and_lose,
        act_and_crash,
        lambda agent: agent.clock.step_wall(-1000.0),
    ]
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(engine_acts | agent_acts, max_size=40))
def test_whatever_happens(acts: list[Callable[[Watched], object]]) -> None:
    agent = Watched()
    for act in acts:
        act(agent)

    agent.policies = replace(agent.policies, policies=())
    agent.see(agent.policies)
    agent.connect()
    for _ in range(4):
        agent.carry_out()
        agent.tick(8)
    assert _picture(agent) == {each.name: each.status for each in agent.docker.containers.values()}
    assert not agent.open


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(engine_acts, max_size=12), st.data())
def test_a_stream_with_gaps_and_duplicates_and_a_listing_end_in_the_same_picture(
    acts: list[Callable[[Watched], object]], data: st.DataObject
) -> None:
    agent = Watched()
    agent.see(replace(agent.policies, policies=()))
    for act in acts:
        act(agent)
        agent.clock.advance(0.1)
    happened = list(agent.docker.events)
    agent.docker.events.clear()
    told = data.draw(st.lists(st.sampled_from(happened), max_size=24)) if happened else []
    for event in sorted(told, key=lambda event: event.time_ns):
        agent.position += 1
        agent.see(EventsObserved(events=(replace(event, position=agent.position),)))
    agent.see(GapObserved(reason="audit", since=agent.clock.wall - 1, until=agent.clock.wall))
    agent.relist()
    agent.tick(5)

    assert _picture(agent) == {each.name: each.status for each in agent.docker.containers.values()}


PROVE_A_LIFE = {"start", "restart", "unpause", "pause", "kill", "oom", "health_status", "top"}


class Listener:
    """Hears the published events, and knows of containers nothing but what these say and the baseline."""

    def __init__(self, baseline: Iterable[Container]) -> None:
        self.names = {each.id: each.name for each in baseline}
        self.running = {each.id for each in baseline if each.running}

    def hears(self, told: EngineEvent) -> None:
        if told.action == "destroy":
            self.names.pop(told.actor_id, None)
            self.running.discard(told.actor_id)
            return
        met = told.actor_id not in self.names
        concluded = told.origin is Origin.SYNTHETIC
        if met or told.action == "rename":
            old_name = told.attributes.get("oldName", "").removeprefix("/")
            assert not concluded or self.names.get(told.actor_id, old_name) == old_name, "nobody was told that name"
            self.names[told.actor_id] = told.name
        assert not concluded or self.names[told.actor_id] == told.name, "an event under a name that nobody was told"
        if told.action in {"die", "stop"}:
            assert not concluded or told.actor_id in self.running, "an end of what did not run"
            self.running.discard(told.actor_id)
        elif told.action in {"start", "pause", "unpause"}:
            assert not concluded or (told.action == "start") is (told.actor_id not in self.running), "it started twice"
            self.running.add(told.actor_id)
        elif met and told.action in PROVE_A_LIFE:
            self.running.add(told.actor_id)


def rename(docker: Docker, name: str) -> None:
    """To a name that is free, and back."""
    to = name.removesuffix("-old") if name.endswith("-old") else f"{name}-old"
    if all(each.name != to for each in docker.containers.values()):
        docker.rename(name, to)


def add(docker: Docker, name: str) -> None:
    if all(each.name != f"{name}-new" for each in docker.containers.values()):
        docker.create(f"{name}-new")


described = st.one_of(
    on_engine(rename),
    on_engine(rename, [f"{name}-old" for name in NAMES]),
    on_engine(add),
    on_engine(lambda docker, name: docker.tell("update", name)),
    on_engine(if_running(lambda docker, name: docker.tell("top", name))),
    *(on_engine(if_running(act), [f"{name}-new" for name in NAMES]) for act in (Docker.crash, Docker.pause)),
)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(engine_acts | described | st.sampled_from([Watched.inspect, Watched.relist]), max_size=16), st.data())
def test_whoever_hears_the_events_alone_knows_the_names_and_what_runs(
    acts: list[Callable[[Watched], object]], data: st.DataObject
) -> None:
    agent = Watched()
    agent.see(replace(agent.policies, policies=()))
    listener = Listener(agent.docker.containers.values())
    agent.clear()
    for act in acts:
        act(agent)
        heard = [event for event in agent.docker.events if data.draw(st.booleans(), label=f"{event.action} is heard")]
        agent.docker.events[:] = heard
        agent.read()
        agent.clock.advance(data.draw(st.sampled_from([0.1, 2.0])))
    agent.relist()
    agent.tick(8)

    for told in agent.of(EngineEvent):
        listener.hears(told)
    there = agent.docker.containers.values()
    assert listener.names == {each.id: each.name for each in there}
    assert listener.running == {each.id for each in there if each.running}
    assert _picture(agent) == {each.name: each.status for each in there}


def _picture(agent: Watched) -> dict[str, ContainerStatus | None]:
    return {r.container.name: r.container.status for r in agent.pipeline.state.containers.values()}
