"""A host for the pure core: an engine that orders its events as the real one does, a clock that stands still, and the
pipeline with real policies and the real composer between them. The store is the fake that the contract suite holds to
the real one."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from textwrap import dedent
from typing import Any, TypeVar

from tests.support.store import FakeStore
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.overview import Page, overview
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Held, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineInfo,
    EnginePinged,
    EventsObserved,
    GapObserved,
    InventoryObserved,
)
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.state.record import ContainerRecord

NOW = 1_790_000_000.0
INFO = EngineInfo(
    id="engine-1",
    name="h1",
    version="26.1",
    api_version="1.45",
    data_root="/var/lib/docker",
    url="unix:///run/docker.sock",
)
INSTALL_ID = "0123456789abcdef"
NO_SHARED_CAUSES = SharedCauseRule(hold=0.0)
"""What a test is about must not be held back by what fails beside it."""

T = TypeVar("T")
F = TypeVar("F")


class FakeClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.wall = NOW
        self.monotonic = 1000.0
        self.boot = "boot-1"
        self.asleep = 0.0

    def now(self) -> Instant:
        return Instant(wall=self.wall, monotonic=self.monotonic, boot=self.boot, asleep=self.asleep)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def reboot(self, seconds: float) -> None:
        """So long after, the host has been rebooted: its monotonic clock began anew, and may show more than before."""
        self.wall += seconds
        self.monotonic, self.boot, self.asleep = self.monotonic + 5000.0, f"{self.boot}+1", 0.0

    def suspend(self, seconds: float) -> None:
        """The host sleeps for so long; its monotonic clock stands still."""
        self.wall += seconds
        self.asleep += seconds

    def step_wall(self, seconds: float) -> None:
        """Somebody set the wall clock."""
        self.wall += seconds


def container_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def container(
    name: str = "web",
    *,
    status: ContainerStatus = ContainerStatus.RUNNING,
    health: Health = Health.NONE,
    labels: Mapping[str, str] | None = None,
    image: str = "web:1",
    identity: str = "",
    ports: tuple[int, ...] = (),
    network_mode: str = "",
    **detail: object,
) -> Container:
    """As an inspection shows it: started an hour ago unless told otherwise."""
    known = {"started_at": NOW - 3600, "pid": 42} | detail
    return Container(
        id=identity or container_id(name),
        name=name,
        image=image,
        labels=dict(labels or {}),
        status=status,
        health=health,
        created_at=NOW - 7200,
        published_ports=ports,
        network_mode=network_mode,
        detail=ContainerDetail(**known),  # type: ignore[arg-type] # fields of any type, given by name
    )


def event(
    action: str,
    name: str = "web",
    *,
    at: float = NOW,
    detail: str = "",
    kind: EventKind = EventKind.CONTAINER,
    origin: Origin = Origin.STREAM,
    position: int = 0,
    identity: str = "",
    labels: Mapping[str, str] | None = None,
    **attributes: str,
) -> EngineEvent:
    actor = identity or (container_id(name) if kind is EventKind.CONTAINER else name)
    own = {"name": name, "image": "web:1"} if kind is EventKind.CONTAINER else {}
    time_ns = int(at * 1e9)
    return EngineEvent(
        id=hashlib.sha256(f"{time_ns}{kind}{action}{detail}{actor}".encode()).hexdigest()[:32],
        kind=kind,
        action=action,
        detail=detail,
        actor_id=actor,
        attributes={**own, **attributes, **(labels or {})},
        time_ns=time_ns,
        origin=origin,
        position=position,
    )


def policy_set(text: str) -> PolicySet:
    """The policies of one file; `version: 1` and `policies:` go without saying."""
    body = dedent(text).strip()
    whole = f"version: 1\npolicies:\n{body}\n" if body else "version: 1\npolicies: []\n"
    loaded = load_policies({"test.yaml": whole.encode()})
    assert isinstance(loaded, PolicySet), [str(problem) for problem in loaded]
    return loaded


class Docker:
    """The engine: its containers, and its events in the order in which it sends them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.containers: dict[str, Container] = {}
        self.events: list[EngineEvent] = []
        """Those that nobody read yet."""
        self._last_ns = 0
        self._tags_moved: set[str] = set()

    def find(self, name: str) -> Container:
        return next(each for each in self.containers.values() if each.name == name)

    def create(self, name: str = "web", *, check: bool = False, silent: bool = False, **known: object) -> Container:
        """Create it, and start it unless told another status; silently, when it was there before the agent."""
        if known.get("status") is ContainerStatus.CREATED:
            known = {"started_at": None, "pid": 0, **known}
        if check:
            known = {"failing_streak": 0, "health_interval": 5.0, "health": Health.HEALTHY, **known}
        if not silent:
            known = {"started_at": self.clock.wall, **known}
        made = container(name, **known)  # type: ignore[arg-type] # fields of any type, given by name
        if not silent:
            made = replace(made, created_at=self.clock.wall)
            if check:
                made = replace(made, health=Health.STARTING)
        self.containers[made.id] = made
        if not silent:
            self._emit(made, "create")
            if made.status is not ContainerStatus.CREATED:
                self._emit(made, "start")
        return made

    def crash(self, name: str = "web", code: int = 1, *, retried: bool = True) -> None:
        """It ends by itself. Its restart policy takes no notice where its retries are used up, or it was sent HUP."""
        self._die(self.find(name), code, policy=retried)

    def oom(self, name: str = "web") -> None:
        self._emit(self.find(name), "oom")
        self._die(self.find(name), 137)

    def kill(self, name: str = "web", signal: str = "9", *, ends: bool = True) -> None:
        self._emit(self.find(name), "kill", signal=signal)
        if ends:
            self._die(self.find(name), 137, policy=False)

    def stop(self, name: str = "web") -> None:
        if self.find(name).status not in {ContainerStatus.EXITED, ContainerStatus.CREATED}:
            self._emit(self.find(name), "kill", signal="15")
            self._die(self.find(name), 143, policy=False)
            self._emit(self.find(name), "stop")

    def start(self, name: str = "web") -> None:
        was = self.find(name)
        if was.running:
            return
        count = _detail(was).restart_count if was.status is ContainerStatus.RESTARTING else 0
        detail = replace(_detail(was), started_at=self._stamp() / 1e9, pid=43, exit_code=None, oom_killed=False)
        detail = replace(detail, restart_count=count, start_failed=False)
        health = Health.STARTING if detail.health_interval else Health.NONE
        self._put(replace(was, status=ContainerStatus.RUNNING, health=health, detail=detail))
        self._emit(self.find(name), "start")

    def restart(self, name: str = "web") -> None:
        self.stop(name)
        self.start(name)
        self._emit(self.find(name), "restart")

    def remove(self, name: str = "web", *, force: bool = False) -> None:
        """`docker rm`, with -f as Compose's `down` does after its stop."""
        if force and self.find(name).running:
            self.kill(name)
        self._emit(self.find(name), "destroy")
        del self.containers[self.find(name).id]

    def pause(self, name: str = "web") -> None:
        self._put(replace(self.find(name), status=ContainerStatus.PAUSED))
        self._emit(self.find(name), "pause")

    def unpause(self, name: str = "web") -> None:
        self._put(replace(self.find(name), status=ContainerStatus.RUNNING))
        self._emit(self.find(name), "unpause")

    def rename(self, name: str, to: str) -> None:
        renamed = replace(self.find(name), name=to)
        self._put(renamed)
        self._emit(renamed, "rename", oldName=f"/{name}")

    def health(self, name: str = "web", verdict: Health = Health.UNHEALTHY) -> None:
        self._put(replace(self.find(name), health=verdict))
        self._emit(self.find(name), "health_status", detail=verdict.value)

    def tell(self, action: str, name: str = "web", *, detail: str = "", **attributes: str) -> None:
        """An event that changes nothing."""
        self._emit(self.find(name), action, detail=detail, **attributes)

    def settles(self, name: str = "web") -> None:
        """Its restart policy gives up: it can't be started."""
        was = self.find(name)
        self._put(replace(was, status=ContainerStatus.EXITED, detail=replace(_detail(was), start_failed=True)))

    def kill_in_its_wait(self, name: str = "web") -> None:
        """`docker kill` while the engine waits to start it again: measured, it sends no event."""
        was = self.find(name)
        assert was.status is ContainerStatus.RESTARTING, was.status
        self._put(replace(was, status=ContainerStatus.EXITED))

    def do(self, intent: Intent) -> None:
        """What the executor asks for: by id, so that a rename changes nothing."""
        name, verb = self.containers[intent.decision.target.id].name, intent.decision.verb
        match verb:
            case Verb.RESTART:
                self.restart(name)
            case Verb.START:
                self.start(name)
            case Verb.STOP:
                self.stop(name)
            case Verb.KILL:
                signal = str(intent.decision.parameters.get("signal") or "SIGKILL")
                self.kill(name, signal, ends=signal == "SIGKILL")
            case Verb.PAUSE:
                self.pause(name)
            case Verb.UNPAUSE:
                self.unpause(name)
            case Verb.NOTIFY:
                raise AssertionError("nobody carries a notification out")

    def lose_events(self) -> None:
        """The ring did not keep them."""
        self.events.clear()

    def tag_moves(self, name: str = "web") -> None:
        """The name of its image is given to another: a listing tells an id from then on, all else the name."""
        self._tags_moved.add(self.find(name).id)

    def listing(self) -> tuple[Container, ...]:
        bare = [replace(each, detail=None) for each in self.containers.values()]
        return tuple(replace(each, image="96140e0c5a29") if each.id in self._tags_moved else each for each in bare)

    def _die(self, was: Container, code: int, *, policy: bool = True) -> None:
        if not was.running:
            return
        detail = replace(_detail(was), exit_code=code, finished_at=self._stamp() / 1e9, pid=0)
        back = policy and (
            detail.restart_policy in {"always", "unless-stopped"} or (detail.restart_policy == "on-failure" and code)
        )
        status = ContainerStatus.RESTARTING if back else ContainerStatus.EXITED
        detail = replace(detail, restart_count=detail.restart_count + bool(back))
        self._put(replace(was, status=status, detail=detail))
        self._emit(self.find(was.name), "die", exitCode=str(code))

    def _put(self, made: Container) -> None:
        self.containers[made.id] = made

    def _stamp(self) -> int:
        wall = int(self.clock.wall * 1e9)
        stepped_back = wall < self._last_ns - 1_000_000_000
        self._last_ns = wall if stepped_back else max(self._last_ns + 1000, wall)
        return self._last_ns

    def _emit(self, about: Container, action: str, *, detail: str = "", **attributes: str) -> None:
        # labels go over the engine's own attributes, except for name and image
        labels = {**attributes, **about.labels, "name": about.name}
        made = event(action, about.name, at=0, detail=detail, identity=about.id, labels=labels)
        stamp = self._stamp()
        identity = hashlib.sha256(f"{stamp}{made.id}".encode()).hexdigest()[:32]
        made = replace(made, id=identity, time_ns=stamp, attributes={**made.attributes, "image": about.image})
        self.events.append(made)


def _detail(of: Container) -> ContainerDetail:
    assert of.detail is not None
    return of.detail


class Host:
    """The agent's core on that engine. What it sees, wants and says is kept for the test to look at.

    Attributes:
        facts: Everything that happened, in order, over restarts of the agent.
        intents: Everything that was begun.
        open: Target id -> what is under way.
        to_inspect: Ids that the core asked to be inspected.
    """

    def __init__(
        self,
        policies: str = "",
        *,
        mode: str = "enforce",
        protection: Protection | None = None,
        first_start: bool = False,
        shared_cause: SharedCauseRule = NO_SHARED_CAUSES,
        interval: float = 1.0,
    ) -> None:
        self.clock = FakeClock()
        self.docker = Docker(self.clock)
        self.store = FakeStore(install_id=INSTALL_ID)
        self.facts: list[Fact] = []
        self.intents: list[Intent] = []
        self.open: dict[str, Intent] = {}
        self.to_inspect: dict[str, None] = {}
        self.steps: list[Effects] = []
        self.position = 0
        self._options = PipelineOptions(
            host="h1",
            mode=mode,
            interval=interval,
            metrics_interval=10.0,
            protection=protection or Protection(observe=mode == "observe"),
            shared_cause=shared_cause,
        )
        self.policies = policy_set(policies)
        self._sequence = 0
        self._anew: set[str] = set()
        self._boot()
        if not first_start:
            self.connect()

    # --- the agent's life ------------------------------------------------------------------------------------------

    def _boot(self, *, with_policies: bool = True) -> None:
        composer = CloudEventComposer(host="h1", install_id=INSTALL_ID, labels=["*"])
        self.pipeline = Pipeline(self._options, composer)
        resume = now(self.store.load())
        records = json.loads(json.dumps(resume.records))
        interrupted = now(self.store.open_intents())
        self.pipeline.resume(replace(resume, records=records), interrupted, self.clock.now())
        self.position = 0
        self.open.clear()
        self.to_inspect.clear()
        if with_policies:
            self.see(self.policies)

    def connect(self, *, restarted: bool = False, origin: Origin = Origin.STREAM) -> None:
        """The engine is found, its events are read, its containers listed and inspected."""
        self.see(EngineFound(info=INFO, restarted=restarted, at=self.clock.wall))
        self.read(origin=origin)
        self.relist()
        self.deliver()

    def dies(self, away: float = 0.0) -> None:
        """kill -9: all that is left is what was committed."""
        self.clock.advance(away)

    def comes_back(self, *, lost: bool = False, with_policies: bool = True) -> None:
        """A new process; what happened meanwhile is replayed, unless the ring lost it."""
        self._boot(with_policies=with_policies)
        if lost:
            self.docker.lose_events()
            self.see(GapObserved(reason="replay_incomplete", since=self.clock.wall - 1, until=self.clock.wall))
        self.connect(origin=Origin.REPLAY)

    # --- what the shell does ---------------------------------------------------------------------------------------

    def see(self, *observations: Observation) -> Effects:
        """One step of the loop, made durable. What must hold after every step is looked at."""
        effects = self.pipeline.step(observations, self.clock.now())
        now(self.store.commit(effects.commit()))
        self.steps.append(effects)
        self.facts.extend(effects.facts)
        for outcome in effects.outcomes:
            self.open.pop(outcome.decision.target.id, None)
        for intent in effects.intents:
            assert intent.decision.target.id not in self.open, "two actions under way on one target"
            self.open[intent.decision.target.id] = intent
            self.intents.append(intent)
        for message in effects.events:
            assert message.sequence > self._sequence, "sequence numbers grow"
            self._sequence = message.sequence
        self.to_inspect.update(effects.inspect)
        self._anew.update(effects.anew)
        return effects

    def read(self, *, origin: Origin = Origin.STREAM, one_by_one: bool = False) -> None:
        """Read the engine's events: in one step, or in one each."""
        batch = []
        for each in self.docker.events:
            self.position += 1
            batch.append(replace(each, origin=origin, position=self.position))
        self.docker.events.clear()
        for events in [(each,) for each in batch] if one_by_one else [tuple(batch)]:
            if events:
                self.see(EventsObserved(events=events))

    def inspect(self) -> None:
        """Answer what was asked, once each."""
        asked, self.to_inspect = self.to_inspect, {}
        for identity in asked:
            self.see(
                ContainerObserved(
                    container_id=identity,
                    container=self.docker.containers.get(identity),
                    after_position=self.position,
                    at=self.clock.wall,
                )
            )

    def relist(self, after_position: int | None = None) -> None:
        self.see(
            InventoryObserved(
                containers=self.docker.listing(),
                after_position=self.position if after_position is None else after_position,
                at=self.clock.wall,
            )
        )

    def deliver(self, *, one_by_one: bool = False) -> None:
        self.read(one_by_one=one_by_one)
        self.inspect()

    def protected_by(self, protection: Protection) -> None:
        """The settings are changed: the next process has them."""
        self._options = replace(self._options, protection=protection)

    def tick(self, times: int = 1, **values: float) -> None:
        """Intervals (of a second, unless told otherwise) pass, each with a sample in which every running container has
        these values (`_` for the dot)."""
        for _ in range(times):
            self.clock.advance(self._options.interval)
            self.ping()
            self.see(self.sample(values))
            self.deliver()

    def top(self, **page: object) -> dict[str, Any]:
        """One page of `top`, as it goes over the control socket."""
        asked = Page(**page)  # type: ignore[arg-type] # fields of any type, given by name
        work = overview(self.pipeline, asked, self.clock.now())
        while True:
            try:
                next(work)
            except StopIteration as end:
                found: dict[str, Any] = json.loads(json.dumps(end.value, allow_nan=False))
                return found

    def ping(self) -> None:
        """The engine answers, when it is there."""
        if self.pipeline.state.engine.connected:
            self.see(EnginePinged(latency=0.001, at=self.clock.wall))

    def sample(self, values: Mapping[str, float]) -> SampleBatch:
        anew, self._anew = frozenset(self._anew), set()
        running = [each.id for each in self.docker.containers.values() if each.running]
        named = {name.replace("_", ".", 2 if name.startswith("host_") else 1): value for name, value in values.items()}
        return SampleBatch(
            at=self.clock.now(),
            interval=self._options.interval,
            targets=tuple(SampleTarget(container_id=identity) for identity in running),
            columns={
                name: array("d", [value] * len(running))
                for name, value in named.items()
                if not name.startswith("host.")
            },
            host={name: value for name, value in named.items() if name.startswith("host.")},
            anew=anew,
        )

    def carry_out(self, *, outcome_first: bool = False) -> list[Outcome]:
        """Do what is under way, each asked about once more before, as the executor does."""
        outcomes = []
        for intent in list(self.open.values()):
            outcome = self.attempt(intent)
            outcomes.append(outcome)
            if outcome_first:
                self.see(outcome)
                self.deliver()
            else:
                self.deliver()
                self.see(outcome)
        self.inspect()
        return outcomes

    def begins(self, intent: Intent) -> None:
        """The executor asks once more, hears yes, and calls the engine."""
        assert self.pipeline.recheck(intent, self.clock.now()) is None

    def attempt(self, intent: Intent) -> Outcome:
        begun = self.clock.wall
        stopped = self.pipeline.recheck(intent, self.clock.now())
        if stopped is not None:
            guard = {"guard": stopped.guard.value} if isinstance(stopped, Held) else {}
            return replace(ended(intent, Result.ABANDONED, begun, begun, guard), asked=False)
        if intent.decision.target.id not in self.docker.containers:
            return ended(intent, Result.ABANDONED, begun, begun)
        self.docker.do(intent)
        self.clock.advance(0.25)
        return ended(intent, Result.SUCCEEDED, begun, self.clock.wall)

    # --- what the test looks at ------------------------------------------------------------------------------------

    def record(self, name: str = "web") -> ContainerRecord:
        return next(r for r in self.pipeline.state.containers.values() if r.container.name == name)

    def of(self, kind: type[F]) -> list[F]:
        """The facts of that type."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def guards(self) -> list[str]:
        """Which guards stopped something, in order."""
        return [held.guard.value for held in self.of(Held)]

    def of_guard(self, guard: str) -> list[Held]:
        """What that guard stopped, in order."""
        return [held for held in self.of(Held) if held.guard.value == guard]

    @property
    def did(self) -> list[tuple[str, str]]:
        """Verb and target of everything begun."""
        return [(intent.decision.verb.value, intent.decision.target.name) for intent in self.intents]

    @property
    def told(self) -> list[Outcome]:
        """Notifications."""
        return [fact for fact in self.of(Outcome) if fact.decision.verb is Verb.NOTIFY]

    @property
    def wanted(self) -> list[Decision]:
        return self.of(Decision)

    @property
    def waiting(self) -> list[str]:
        """Policies whose decisions wait."""
        return [policy for policy, _ in self.pipeline.decisions.agenda.waiting]

    def published(self) -> list[dict[str, Any]]:
        """Every CloudEvent so far, with its topic."""
        return [
            {"topic": message.topic, **json.loads(message.payload)} for step in self.steps for message in step.events
        ]

    def retained(self, topic: str) -> dict[str, Any] | None:
        """The content of a retained topic; None when it is cleared or was never there."""
        states = {state.topic: state.payload for state in now(self.store.all_states())}
        payload = states.get(f"watchtower/v1/h1/state/{topic}")
        said: dict[str, Any] | None = json.loads(payload) if payload else None
        return said

    def store_records(self, kind: str) -> dict[str, Any]:
        """What the store remembers of that kind."""
        return dict(now(self.store.load()).records.get(kind, {}))

    def remember(self, kind: str, key: str, value: Mapping[str, object]) -> None:
        """The store remembers something else."""
        now(self.store.commit(Commit(records=(Record(kind=kind, key=key, value=dict(value)),))))

    def actions_seen(self, name: str = "web") -> list[tuple[str, str]]:
        """Action and origin of the engine's events about a container."""
        return [(e.action, e.origin.value) for e in self.of(EngineEvent) if e.name == name]

    def clear(self) -> None:
        """Forget what was seen up to here."""
        self.facts.clear()
        self.intents.clear()
        self.steps.clear()


def ended(
    intent: Intent,
    result: Result,
    started_at: float,
    finished_at: float,
    numbers: Mapping[str, str] | None = None,
) -> Outcome:
    return Outcome(
        decision=intent.decision,
        result=result,
        reason=result.value,
        started_at=started_at,
        finished_at=finished_at,
        numbers=dict(numbers or {}),
    )


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("it waits for something")
