"""A simulated host with everything that can go wrong on it, and the invariants watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.support.simulation.agent import Act, SimulatedAgent
from tests.support.simulation.invariants import INVARIANTS, OTHERS, Invariant
from tests.support.simulation.workload import STEADY, Workload, any_workload, crash_loop, falls_sick, flaps, leaks
from tests.support.simulation.world import World, world
from watchtower_agent.model.approval import Approval, ApprovalState
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.protection import HOST_BUDGET, Protection
from watchtower_agent.policies.policy import Budget

POLICIES: Final = """
  - {name: revive, select: {name: "*"}, on: {container: [die, oom]}, cooldown: 20s, {limits}then: {restart: {}}}
  - {name: hasty, select: {name: "*"}, on: {container: health_status}, where: health != "healthy", \
{limits}then: {restart: {}}}
  - {name: heal, select: {name: "*"}, when: health == "unhealthy", for: 10s, cooldown: 1m, {limits}then: {restart: {}}}
  - {name: leak, select: {name: "*"}, when: memory.percent > 90%, cooldown: 45s, {limits}then: {restart: {}}}
  - {name: nightly, select: {name: "*"}, when: memory.percent > 70%, cooldown: 1h, {limits}then: {restart: {}}, \
windows: [{cron: "0 2 * * *", for: 3h}]}
  - {name: careful, mode: approve, approve_within: 5m, select: {name: "*"}, when: memory.percent > 60%, cooldown: 1m, \
{limits}then: {restart: {}}}
  - {name: trial, mode: shadow, select: {labels: {group: web}}, when: memory.percent > 60%, then: {stop: {}}}
"""
WIDE: Final = (
    "backoff: {initial: 12s, factor: 2, max: 60s, reset_after: 2m}, "
    "budget: {max: 6, per: 10m, probe_after: 15m, in_vain: {in_vain}}, "
)
WIDE_CAUSE: Final = SharedCauseRule(share=30.0, at_least=3, within=10.0, hold=45.0)
WIDE_HOST: Final = Budget(most=60, per=600.0, probe_after=120.0)
PROTECTED: Final = ("agent", "kept", "db", "task")


@dataclass(slots=True)
class Simulation:
    """One run.

    Attributes:
        world: The host.
        agent: The agent on it.
        violations: Every breach of an invariant, with its name.
        followed: How many were restarted after another container.
        ineffective: How many actions were told not to have helped.
    """

    world: World
    agent: SimulatedAgent
    violations: list[tuple[type[Invariant], str]] = field(default_factory=list)
    followed: int = 0
    ineffective: int = 0

    def __post_init__(self) -> None:
        for kind in (*INVARIANTS, *OTHERS):
            self.agent.before_each_act.append(partial(self._look, kind(self.world, self.agent)))
        self.agent.told.append(self._count)

    def _count(self, fact: Fact) -> None:
        if isinstance(fact, Outcome):
            self.ineffective += fact.result is Result.INEFFECTIVE
            self.followed += bool(fact.decision.follows) and fact.result is Result.SUCCEEDED

    def _look(self, invariant: Invariant, act: Act) -> None:
        wrong = invariant.wrong(act)
        if wrong:
            decision = act.intent.decision
            what = f"{decision.policy}: {decision.verb} of {decision.target.name} at {act.at:.1f} s: {wrong}"
            self.violations.append((type(invariant), what))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def person_answers(self, delay: float, answer: float) -> None:
        """Whenever a person is asked, an answer comes after about that long: yes, no, or none.

        Args:
            delay: Seconds, on average; some answers come too late.
            answer: From 0 to 1: how many are answered with yes, and half as many with no.
        """
        draw = self.world.random

        def hears(fact: Fact) -> None:
            if (
                isinstance(fact, Approval)
                and fact.state is ApprovalState.ASKED
                and (drawn := draw.random()) < 1.5 * answer
            ):
                respond = partial(self.agent.answered, fact.id, approves=drawn < answer)
                self.world.after(draw.expovariate(1 / delay), respond)

        self.agent.told.append(hears)

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def engine_goes(self, seconds: float, *, lost: bool = False, late: bool = False) -> None:
        """The engine does not answer for so long; then it remembers what happened, or not.

        Args:
            seconds: For how long.
            lost: It does not remember.
            late: A listing that was on its way comes when it has gone.
        """
        if self.world.reachable:
            self.world.reachable = False
            self.agent.disconnects(late=late)
            went = self.world.clock.monotonic
            self.world.after(seconds, partial(self._engine_comes, went, lost=lost))

    def _engine_comes(self, went: float, *, lost: bool) -> None:
        self.world.reachable = True
        if lost:
            self.world.forget_people_since(went)
        if self.agent.alive:
            self.agent.connects(lost=lost)

    def agent_dies(self, seconds: float) -> None:
        """kill -9, and a supervisor that starts it again after so long."""
        if self.agent.alive:
            self.agent.dies()
            self.world.after(seconds, self.agent.starts)

    def together(self, names: list[str]) -> None:
        """One cause: all of these fall sick within a few seconds."""
        for name in names:
            self.world.after(self.world.random.uniform(0.0, 5.0), partial(self.world.sickens, name))


def simulation(
    workloads: dict[str, Workload], *, seed: int = 0, interval: float = 1.0, wide: bool = True, in_vain: int = 12
) -> Simulation:
    """A host with these containers, and those that are protected: they fail as badly as any other.

    Args:
        workloads: Name -> how it behaves. A name that begins with `always` has a restart policy, one with `plain` no
            health check.
        seed: Of what is drawn.
        interval: Seconds between samples, while nothing happens.
        wide: Backoffs and budgets that let much happen in little time; else those that there are without a word.
        in_vain: If so, on how many containers a policy may be of no use; on a busy host it soon is.
    """
    host = world(seed)
    for name, workload in workloads.items():
        policy = {"restart_policy": "always"} if name.startswith("always") else {}
        host.create(name, workload, check=not name.startswith("plain"), labels={"group": "web"}, **START, **policy)
    host.create("agent", crash_loop(50.0), check=True, **START)
    host.create("kept", falls_sick(70.0), check=True, labels={"watchtower-agent.protect": "true"}, **START)
    host.create("db", crash_loop(90.0), check=True, image="library/postgres:16", **START)
    host.create("task", falls_sick(60.0), check=True, labels={"com.docker.swarm.task.id": "t1"}, **START)
    host.protected.update(PROTECTED)
    host.create("need", falls_sick(45.0), check=True, labels=_shop("need"), **START)
    host.create("follower", crash_loop(20.0), labels=_shop("follower", "need:service_healthy:false"))
    host.needs["follower"] = "need"
    host.create("lodger", STEADY, check=True, **START, network_mode=f"container:{host.docker.find('need').id}")
    host.needs["lodger"] = "need"
    protection = Protection(
        stateful_images=frozenset({"postgres"}),
        own_containers=(host.docker.find("agent").id,),
        host_budget=WIDE_HOST if wide else HOST_BUDGET,
    )
    policies = POLICIES.replace("{limits}", WIDE.replace("{in_vain}", str(in_vain)) if wide else "")
    agent = SimulatedAgent(
        host,
        policies,
        interval=interval,
        protection=protection,
        shared_cause=WIDE_CAUSE if wide else SharedCauseRule(),
    )
    made = Simulation(host, agent)
    made.person_answers(60.0, 0.6)
    agent.starts()
    return made


START: Final[dict[str, object]] = {"health_start_period": 20.0, "health_interval": 5.0}


def _shop(service: str, depends_on: str = "") -> dict[str, str]:
    """Compose's labels."""
    return {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.depends_on": depends_on,
    }


def busy(seed: int, *, containers: int = 16) -> Simulation:
    """A small host where everything goes wrong all the time."""
    kinds = (
        crash_loop(30.0),
        leaks(400.0),
        falls_sick(8.0),
        falls_sick(200.0, lives=3),
        flaps(40.0),
        crash_loop(5.0, lives=6),
        Workload(memory=95.0),
        Workload(memory=75.0),
    )
    names = ("web", "always", "plain")
    workloads = {f"{names[number % 3]}{number}": kinds[number % len(kinds)] for number in range(containers)}
    made = simulation(workloads | {"webs": falls_sick(2.0)}, seed=seed)  # one that no restart helps
    every = [*made.world.workloads]
    troubles(made, [name for name in every if name not in PROTECTED], every_seconds=45.0, share=0.7)
    return made


def host_of(containers: int, *, seed: int, interval: float) -> Simulation:
    """A host as there are many: most containers are well for days, and something happens every few hours."""
    draw = world(seed).random
    names = ("web", "always", "plain")
    workloads = {f"{names[number % 3]}{number}": any_workload(draw) for number in range(containers)}
    made = simulation(workloads, seed=seed, interval=interval, wide=False)
    # what loops all the time would make most of the events
    for name in (*PROTECTED, "need", "follower"):
        made.world.workloads[name] = falls_sick(86_400.0)
    troubles(made, list(workloads), every_seconds=6 * 3600.0, share=0.4)
    return made


def troubles(made: Simulation, names: list[str], *, every_seconds: float, share: float) -> None:
    """From now on something goes wrong, or somebody does something, about so often.

    Args:
        made: Where.
        names: To whom.
        every_seconds: On average.
        share: Of them, how many one cause is behind.
    """
    host, draw = made.world, made.world.random

    def person_stops(name: str) -> None:
        host.person_stops(name)
        host.after(draw.uniform(60, 7200), partial(host.person_starts, name))

    def person_pauses(name: str) -> None:
        scope, of = draw.choice(
            [
                (PauseScope.AGENT, ""),
                (PauseScope.POLICY, "leak"),
                (PauseScope.POLICY, "hasty"),
                (PauseScope.CONTAINER, name),
            ]
        )
        made.agent.pauses(Paused(scope=scope, name=of), draw.uniform(20, 300))

    kinds: tuple[Callable[[str], object], ...] = (
        lambda _: made.engine_goes(draw.uniform(1, 120), lost=draw.random() < 0.3, late=draw.random() < 0.5),
        lambda _: made.engine_goes(draw.uniform(5, 30), late=True),
        lambda _: host.clock_is_set(draw.uniform(0.1, 6) * draw.choice([-3600.0, 3600.0])),
        lambda _: made.agent_dies(draw.uniform(0, 300)),
        lambda _: made.together(draw.sample(names, k=int(len(names) * share))),
        lambda _: made.agent.blinded(list(host.docker.containers), draw.uniform(5, 300)),
        lambda _: made.agent.sampler_hangs(draw.uniform(2, 60) * made.agent.interval),
        lambda name: host.crashes(name, draw.choice([0, 1, 137])),
        host.sickens,
        host.person_restarts,
        host.person_renames,
        person_stops,
        person_pauses,
    )

    def next_one() -> None:
        draw.choice(kinds)(draw.choice(names))
        host.after(draw.expovariate(1 / every_seconds), next_one)

    host.after(draw.expovariate(1 / every_seconds), next_one)
