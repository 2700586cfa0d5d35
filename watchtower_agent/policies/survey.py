"""A service as it is at one moment: of the Swarm's word, this host's containers, and what comes in. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.service import CLONE_OF, SwarmService, Task, TaskState
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.subject import ContainerSubject
from watchtower_agent.policies.host_room import room_for
from watchtower_agent.policies.scaling.needs import needs_of
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import (
    Bounds,
    ExternalMetric,
    Metric,
    OwnMetric,
    Replica,
    Situation,
)
from watchtower_agent.policies.strategies.scale import (
    IdleRule,
    MetricRule,
    OwnMetricRule,
    ScaleStrategy,
)
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.services import CURRENT_SERVICES
from watchtower_agent.state.wellness import is_well

_ONE_OFF: Final = "com.docker.compose.oneoff"
_NUMBER: Final = "com.docker.compose.container-number"
_LITTER_AFTER: Final = 900.0
"""Seconds for which a clone that has ended is left to whoever looks for the reason."""
_LEAVES_IN: Final = 60.0
"""Seconds after a stop signal for which a container that runs on is taken to be about to end."""

WellSince = Callable[[ContainerRecord], float | None]
"""Seconds for which a container has been well; None while it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One service at one moment.

    Attributes:
        situation: What a recommendation rests on.
        swarm: The service as its Swarm has it; None for clones.
        originals: Containers that somebody else made, the newest that is well first.
        clones: Containers that the agent made, in the order in which they would be removed.
        litter: Clones that do not run, and never will: what a crash, or a person, left of them.
        leaving: One of the containers is being stopped at present.
    """

    situation: Situation
    swarm: SwarmService | None = None
    originals: tuple[ContainerRecord, ...] = ()
    clones: tuple[ContainerRecord, ...] = ()
    litter: tuple[ContainerRecord, ...] = ()
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Nothing can be said of the service.

    Attributes:
        why: One sentence for people.
    """

    why: str


def survey(strategy: ScaleStrategy, state: HostState, now: Instant, well_for: WellSince) -> Survey | Unseen:
    """Look at a service.

    Args:
        strategy: Which one, and what of it counts.
        state: The host.
        now: The present.
        well_for: Tells of a container of this host for how long it has been well.
    """
    if not state.engine.connected:
        return Unseen(why="the engine does not answer")
    if not strategy.clones:
        return _of_swarm(strategy, state, now)
    return _of_containers(strategy, state, now, well_for)


def _of_swarm(strategy: ScaleStrategy, state: HostState, now: Instant) -> Survey | Unseen:
    info, name = state.engine.info, strategy.target.service
    if info is None or not info.swarm_node_id:
        return Unseen(why="this engine is in no Swarm")
    service = state.services.swarm_service(name, now.monotonic)
    if service is None:
        return Unseen(why=_unseen(name, state, now))
    replicas = tuple(_of_task(task, strategy, state, now) for task in service.tasks)
    return Survey(
        situation=Situation(
            wanted=service.replicas,
            replicas=replicas,
            metrics=metrics_of(strategy, state, now),
            bounds=strategy.bounds(now.wall),
            running=service.running,
            updating=service.updating,
        ),
        swarm=service,
    )


def _unseen(name: str, state: HostState, now: Instant) -> str:
    if state.services.is_absent(name, now.monotonic):
        return f"the Swarm has no replicated service {name}"
    ago = state.services.asked_ago(now.monotonic)
    if ago is None:
        return "the Swarm has not been asked yet: only managers are"
    return f"the Swarm last answered {ago:.0f} s ago (allowed: {CURRENT_SERVICES:.0f} s)"


def _of_task(task: Task, strategy: ScaleStrategy, state: HostState, now: Instant) -> Replica:
    record = state.containers.get(task.container_id)
    if record is not None:
        values, newest = _means_here(record, strategy, state, now)
    else:
        told = (
            state.services.means_elsewhere(task.container_id, task.node_id, now.monotonic) if task.container_id else {}
        )
        values, newest = _both(strategy, lambda window: told.get(str(window)))
    healthy_for = None
    if task.state is TaskState.RUNNING and task.since is not None:
        healthy_for = max(0.0, now.wall + state.engine.clock_offset - task.since)
    return Replica(name=task.id, healthy_for=healthy_for, values=values, newest=newest)


def _of_containers(strategy: ScaleStrategy, state: HostState, now: Instant, well_for: WellSince) -> Survey | Unseen:
    if not state.engine.listed:
        return Unseen(why="the containers have not been listed since the engine was found")
    members = [
        record
        for record in state.containers.values()
        if strategy.target.has(record.container) and record.container.labels.get(_ONE_OFF, "").lower() != "true"
    ]
    if not members:
        return Unseen(why=f"no container of {strategy.target.name} is on this host")
    originals = [each for each in members if CLONE_OF not in each.container.labels]
    clones = [each for each in members if CLONE_OF in each.container.labels]
    litter = [each for each in clones if _is_litter(each, now)]
    left = {each.container.id for each in litter}
    clones = [each for each in clones if is_meant_to_run(each) and each.container.id not in left]
    if originals and not any(map(is_meant_to_run, originals)):
        return Unseen(why=f"all that others made of {strategy.target.name} was stopped: it is left alone")
    if not originals:
        # Somebody kept a clone and removed what it was made like: from now on that is the original.
        clones.sort(key=_number)
        originals, clones = clones[:1], clones[1:]
    meant = [each for each in originals if is_meant_to_run(each)] + clones
    least = sum(map(is_meant_to_run, originals))
    bounds = strategy.bounds(now.wall)
    return Survey(
        situation=Situation(
            wanted=len(meant),
            replicas=tuple(_of_container(each, strategy, state, now, well_for) for each in meant),
            metrics=metrics_of(strategy, state, now),
            # Only what the agent itself made is removed.
            bounds=Bounds(least=max(bounds.least, least), most=max(bounds.most, least)),
            running=sum(each.container.status is ContainerStatus.RUNNING for each in meant),
            room=room_for(strategy, meant, state, now),
        ),
        originals=tuple(sorted(originals, key=lambda each: (not is_well(each), -each.container.created_at))),
        clones=tuple(sorted(clones, key=_number, reverse=True)),
        litter=tuple(litter),
        leaving=any(_is_leaving(each, now) for each in meant),
    )


def is_meant_to_run(record: ContainerRecord) -> bool:
    """It runs, or has ended by itself: what a person ended is not wanted any more, and what finished is done."""
    container = record.container
    if container.running or container.status is ContainerStatus.RESTARTING:
        return True
    crashed = record.end_cause is EndCause.ITSELF and record.exit_code != 0
    return container.status is ContainerStatus.EXITED and (crashed or record.end_cause is EndCause.AGENT)


def _is_litter(record: ContainerRecord, now: Instant) -> bool:
    """A clone that never ran, or ended for good a while ago."""
    status = record.container.status
    if status is ContainerStatus.EXITED:  # also one that crashed: nobody has started it again
        return record.ended is not None and now.wall - record.ended > _LITTER_AFTER
    return status in {ContainerStatus.CREATED, ContainerStatus.DEAD}


def _is_leaving(record: ContainerRecord, now: Instant) -> bool:
    """Somebody has told it to end, and it has not yet."""
    return record.container.running and record.kill_at is not None and 0 <= now.wall - record.kill_at < _LEAVES_IN


def _number(record: ContainerRecord) -> tuple[int, float, str]:
    written = record.container.labels.get(_NUMBER, "")
    number = int(written) if written.isascii() and written.isdecimal() and len(written) < 10 else 0  # noqa: PLR2004 - longer is no number of a container
    return number, record.container.created_at, record.container.name


def _of_container(
    record: ContainerRecord, strategy: ScaleStrategy, state: HostState, now: Instant, well_for: WellSince
) -> Replica:
    values, newest = _means_here(record, strategy, state, now)
    return Replica(name=record.container.name, healthy_for=well_for(record), values=values, newest=newest)


def _means_here(
    record: ContainerRecord, strategy: ScaleStrategy, state: HostState, now: Instant
) -> tuple[dict[str, float], dict[str, float]]:
    subject = ContainerSubject(state, now, record)

    def mean(window: Window) -> float | None:
        value = subject.window(window)
        return float(value) if isinstance(value, int | float) else None

    return _both(strategy, mean)


def _both(strategy: ScaleStrategy, mean: Callable[[Window], float | None]) -> tuple[dict[str, float], dict[str, float]]:
    values: dict[str, float] = {}
    newest: dict[str, float] = {}
    for rule in strategy.own_metrics:
        for window, into in zip(rule.windows(strategy.rules), (values, newest), strict=True):
            value = mean(window)
            if value is not None and math.isfinite(value):
                into[rule.name] = value
    return values, newest


def metrics_of(strategy: ScaleStrategy, state: HostState, now: Instant) -> tuple[Metric, ...]:
    """What the service is scaled by, with what came of it from outside."""
    return tuple(_metric(rule, state, now) for rule in strategy.metrics)


def _metric(rule: MetricRule, state: HostState, now: Instant) -> Metric:
    if isinstance(rule, OwnMetricRule):
        return OwnMetric(name=rule.name, target=rule.target)
    reading = state.services.reading(rule.name)
    return ExternalMetric(
        name=rule.name,
        target=rule.target,
        value=None if reading is None else reading.value,
        age=0.0 if reading is None else reading.age + max(0.0, now.monotonic - reading.moment),
        stale_after=rule.stale_after,
        why="" if reading is None else reading.why,
    )


def is_idle(rule: IdleRule, situation: Situation, rules: Rules) -> bool | None:
    """Whether nobody needs the service; None while that is not known.

    Without replicas only metrics from outside tell. One that is known not to be idle is enough for somebody to need it.

    Args:
        rule: What counts as idle.
        situation: The service.
        rules: How it is scaled.
    """
    needs = needs_of(situation, rules.up.window).by_metric
    outside = {each.name for each in situation.metrics if isinstance(each, ExternalMetric)}
    asked = [each for each in needs if each.metric in outside or situation.wanted > 0]
    if any(each.value is not None and each.value > rule.below * each.target for each in asked):
        return False
    if not asked or any(each.value is None or each.missing for each in asked):
        return None
    return True
