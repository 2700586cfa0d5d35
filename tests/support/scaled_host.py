"""A host whose services are scaled: replicas of a Swarm, or containers that the agent clones."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tests.support.core import INFO, Host, container_id, ended
from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.decision import Mode, Number, Verb
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    EngineFound,
    ReadingObserved,
    ServicesObserved,
    SiblingObserved,
    SiblingReplica,
)
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, Judgement, SwarmService, Task, TaskState
from watchtower_agent.policies.policy import MaintenanceWindow, Place, Policy, PolicySet, Then
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.strategies.scale import (
    MetricRule,
    MqttMetricRule,
    OwnMetricRule,
    ScaleStrategy,
    ScaleTarget,
    ServiceKind,
)

CPU: Final = "cpu.percent_of_limit"
SWARM: Final = ScaleTarget(kind=ServiceKind.SWARM, service="shop_web")
COMPOSE: Final = ScaleTarget(kind=ServiceKind.COMPOSE, project="shop", service="web")
OF_COMPOSE: Final = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
GIB: Final = 2.0**30
QUEUE: Final = MqttMetricRule(topic="queue/orders/depth", target=30.0)


def scale_policy(
    target: ScaleTarget = SWARM,
    *metrics: MetricRule,
    least: int = 1,
    most: int = 10,
    mode: Mode = Mode.ENFORCE,
    windows: tuple[MaintenanceWindow, ...] = (),
    **strategy: object,
) -> Policy:
    """One called `web`, by 60 % of CPU unless told otherwise."""
    given = metrics or (OwnMetricRule(name=CPU, target=60.0),)
    return Policy(
        name="web",
        mode=mode,
        selector=None,
        trigger=ScaleStrategy(target=target, least=least, most=most, metrics=given, **strategy),  # type: ignore[arg-type] # fields by name
        then=Then(verb=Verb.SCALE),
        windows=windows,
        place=Place(file="web.yaml", line=1, column=1),
    )


class ScaledHost(Host):
    """The agent's core on the engine of a manager, with one service.

    Attributes:
        replicas: How many the Swarm's service is meant to have; None without a Swarm.
        load: What a container uses of its CPU limit, in percent; None: nothing is known of it.
        needs: Alternatively, what the service as a whole needs, in replicas: shared by those that run.
        leads: Whether this node leads the Swarm.
        answers: Whether the Swarm is asked.
        available: Bytes of memory that the host has.
        takes: How many bytes of memory a container has.
        elsewhere: Tasks on other nodes.
        fails: How many changes the engine refuses.
        failing: What outcomes of those have among their numbers.
        conflicts: How many changes the Swarm refuses, since somebody else was faster.
        service_id: Of the Swarm's service.
        version: Of the Swarm's service: goes up with each change.
    """

    def __init__(
        self, policy: Policy, *, replicas: int | None = None, leads: bool = True, interval: float = 1.0
    ) -> None:
        self.replicas = replicas
        self.load: Callable[[Container], float | None] = lambda _: 60.0
        self.leads = leads
        self.answers = True
        self.updating = False
        self.labels: Mapping[str, str] = {}
        self.elsewhere: tuple[Task, ...] = ()
        self.available = 64 * GIB
        self.takes: Callable[[Container], float] = lambda _: 0.5 * GIB
        self.conflicts = 0
        self.fails = 0
        self.failing: Mapping[str, Number] = {}
        self.service_id = "s1"
        self.version = 10
        self._made = 0
        super().__init__(first_start=True, interval=interval)
        self.policies = PolicySet(policies=(policy,), digest="d")
        self.see(self.policies)
        if replicas is not None:
            self.replicas = 0
            self._swarm_makes(replicas)
        self.connect()

    def connect(self, **kwargs: object) -> None:
        self.follow_leader()
        super().connect(**kwargs)  # type: ignore[arg-type] # passed on

    def follow_leader(self) -> None:
        """The engine says whether it leads."""
        self._info = replace(INFO, swarm_node_id="n1" if self.replicas is not None else "")

    def see(self, *observations: object) -> object:  # type: ignore[override] # passed on
        ours = [replace(each, info=self._info) if isinstance(each, EngineFound) else each for each in observations]
        return super().see(*ours)  # type: ignore[arg-type] # passed on

    def needs(self, needed: float) -> None:
        """The service as a whole has work for so many replicas: those that run share it."""

        def load(_: Container) -> float:
            running = sum(each.running for each in self.docker.containers.values())
            return min(150.0, 60.0 * needed / max(1, running))

        self.load = load

    def sample(self, values: Mapping[str, float]) -> SampleBatch:  # noqa: ARG002 - each container has its own load
        running = [each for each in self.docker.containers.values() if each.running]
        loads = [self.load(each) for each in running]
        return SampleBatch(
            at=self.clock.now(),
            interval=self._options.interval,
            targets=tuple(SampleTarget(container_id=each.id) for each in running),
            columns={
                CPU: array("d", [float("nan") if load is None else load for load in loads]),
                "memory.working_set": array("d", map(self.takes, running)),
            },
            host={"host.memory.available": self.available},
        )

    def ping(self) -> None:
        if self.replicas is not None and self.answers:
            self.see(self.services())
        super().ping()

    def settle(self, seconds: int = 1) -> None:
        """So many seconds pass, or one interval, and whatever the agent begins is carried out."""
        for _ in range(self._intervals(seconds)):
            self.tick()
            self.carry_out()

    def until_begun(self) -> Intent:
        """Seconds pass until the agent begins a change; it is not carried out yet."""
        while not self.open:
            self.tick()
        (intent,) = self.open.values()
        return intent

    def until_changed(self) -> None:
        """Seconds pass until the agent has made its first change."""
        while not self.asked:
            self.settle()

    def reads(self, value: float, seconds: int) -> None:
        """A number comes from outside before each sample."""
        for _ in range(self._intervals(seconds)):
            self.see(ReadingObserved(name=QUEUE.name, value=value, moment=self.clock.monotonic))
            self.settle()

    def _intervals(self, seconds: int) -> int:
        return max(1, round(seconds / self._options.interval))

    def moves_away(self) -> Container:
        """One of the tasks turns out to run on another node, `n2`."""
        *_, there = self.docker.containers.values()
        self.docker.remove(there.name, force=True)
        since = there.created_at
        task = Task(id="t9", node_id="n2", container_id=there.id, state=TaskState.RUNNING, since=since)
        self.elsewhere = (task,)
        return there

    def batch(
        self, of: Container, value: float, *, host: str = "h2", node: str = "n2", interval: float = 5.0
    ) -> SiblingObserved:
        """What another node's agent tells of that container's CPU."""
        windows = OwnMetricRule(name=CPU, target=60.0).windows(Rules())
        told = SiblingReplica(container_id=of.id, service="shop_web", means={str(window): value for window in windows})
        moment = self.clock.monotonic
        return SiblingObserved(host=host, node=node, interval=interval, moment=moment, replicas=(told,))

    def leader_says(self, left_alone_for: float = 0.0) -> None:
        """The agent of another node, which leads, tells what it makes of the service as it is now."""
        judged = Judgement(service_id=self.service_id, version=self.version, left_alone_for=left_alone_for)
        moment = self.clock.monotonic
        self.see(SiblingObserved(host="h2", node="n2", interval=5.0, moment=moment, judgements=(judged,)))

    @property
    def limited(self) -> list[str]:
        """What people were told of services that stay as they are."""
        return [each.reason for each in self.of(Notice) if each.action == "limited"]

    def services(self) -> ServicesObserved:
        """What the Swarm says."""
        assert self.replicas is not None
        tasks = tuple(
            Task(id=f"task {each.name}", container_id=each.id, state=TaskState.RUNNING, since=each.created_at)
            for each in self.docker.containers.values()
            if each.running
        )
        service = SwarmService(
            id=self.service_id,
            name="shop_web",
            labels=self.labels,
            replicas=self.replicas,
            version=self.version,
            updating=self.updating,
            tasks=(*tasks, *self.elsewhere),
        )
        return ServicesObserved(
            leads=self.leads,
            services=(service,),
            asked=frozenset({"shop_web"}),
            at=self.clock.wall,
            moment=self.clock.monotonic,
        )

    def by_hand(self, replicas: int) -> None:
        """`docker service scale`."""
        self._swarm_makes(replicas)

    def attempt(self, intent: Intent) -> Outcome:
        if intent.decision.verb is not Verb.SCALE:
            return super().attempt(intent)
        begun = self.clock.wall
        stopped = self.pipeline.recheck(intent, self.clock.now())
        if stopped is not None:
            return replace(ended(intent, Result.ABANDONED, begun, begun), asked=False)
        return self.do_scale(intent)

    def do_scale(self, intent: Intent) -> Outcome:
        """What the engine does."""
        begun, given = self.clock.wall, intent.decision.parameters
        if self.fails:
            self.fails -= 1
            return replace(ended(intent, Result.FAILED, begun, begun), numbers=self.failing)
        if self.replicas is not None:
            if self.conflicts or given["version"] != self.version:
                self.conflicts = max(0, self.conflicts - 1)
                return replace(ended(intent, Result.FAILED, begun, begun), numbers={"conflict": True})
            self._swarm_makes(int(str(given["to"])))
        elif "add" in given:
            made = [self._clone(str(given["original"]), intent) for _ in range(int(str(given["add"])))]
            self.clock.advance(0.25)
            done = ended(intent, Result.SUCCEEDED, begun, self.clock.wall)
            return replace(done, numbers={"added": len(made), "clones": ",".join(made)})
        else:
            for identity in str(given["remove"]).split(","):
                self.takes_away(self.docker.containers[identity].name)
        self.clock.advance(0.25)
        return ended(intent, Result.SUCCEEDED, begun, self.clock.wall)

    def takes_away(self, name: str) -> None:
        """As Compose and the agent do, each in its own name."""
        self.docker.stop(name)
        self.docker.remove(name)

    def _swarm_makes(self, replicas: int) -> None:
        assert self.replicas is not None
        self.version += 1
        while self.replicas < replicas:
            self.replicas, self._made = self.replicas + 1, self._made + 1
            name = f"shop_web.{self.replicas}.{self._made:025}"
            self.docker.create(name, labels={"com.docker.swarm.service.name": "shop_web", "com.docker.swarm.task": ""})
        while self.replicas > replicas:
            last = max(each.name for each in self.docker.containers.values() if each.running)
            self.docker.remove(last, force=True)
            self.replicas -= 1

    def _clone(self, original: str, intent: Intent) -> str:
        like = self.docker.containers[original]
        names = {each.name for each in self.docker.containers.values()}
        number = next(number for number in range(1, 100) if f"shop-web-{number}" not in names)
        labels = {
            **like.labels,
            CLONE_OF: original,
            CLONED_BY: intent.decision.id,
            "com.docker.compose.container-number": str(number),
        }
        self._made += 1
        identity = container_id(f"clone {self._made}")
        self.docker.create(f"shop-web-{number}", labels=labels, identity=identity)
        return identity

    @property
    def asked(self) -> list[tuple[int, int]]:
        """From and to of every change that was begun."""
        scaled = [each.decision.parameters for each in self.intents if each.decision.verb is Verb.SCALE]
        return [(int(str(each["from"])), int(str(each["to"]))) for each in scaled]

    @property
    def running(self) -> int:
        """Containers that run."""
        return sum(each.status is ContainerStatus.RUNNING for each in self.docker.containers.values())


def original(host: ScaledHost, name: str = "shop-web-1") -> Container:
    """A container that Compose made."""
    return host.docker.create(name, labels=OF_COMPOSE, silent=True, identity=container_id(name))


def a_swarm(replicas: int = 2, **policy: object) -> ScaledHost:
    """A leader whose service has run for long enough that the past speaks against nothing."""
    host = ScaledHost(scale_policy(**policy), replicas=replicas)  # type: ignore[arg-type] # fields by name
    host.needs(float(replicas))
    host.settle(30)
    host.clear()
    return host


def a_project(**policy: object) -> ScaledHost:
    """A Compose service of one container, which has run for as long."""
    host = ScaledHost(scale_policy(COMPOSE, **policy))  # type: ignore[arg-type] # fields by name
    original(host)
    host.connect()
    host.needs(1.0)
    host.settle(30)
    host.clear()
    return host


def a_grown_project(needs: float, **policy: object) -> ScaledHost:
    """One that has the clones that it needs."""
    host = a_project(**policy)
    host.needs(needs)
    host.settle(120)
    host.clear()
    return host
