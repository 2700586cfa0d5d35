"""What is known of one container, and how events change it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent, Origin
from watchtower_agent.model.instant import AHEAD
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import (
    EndCause,
    OperatorIntent,
    end_cause,
    is_reload,
    is_terminating,
    operator_act,
)
from watchtower_agent.state.own_action import OwnAction

RESTARTED_BY_ENGINE = frozenset({"always", "unless-stopped", "on-failure"})
"""Restart policies under which the engine starts an ended container again by itself."""

_FAULTS = frozenset({132, 133, 134, 135, 136, 139})
"""Exit codes of what its own fault has ended (ILL, TRAP, ABRT, BUS, FPE, SEGV): nobody stops a container like that."""

_DEFAULT_STOP_TIMEOUT = 10.0
"""Seconds that the engine gives a container to stop that says nothing of it."""
_RESTART_MAY_TAKE = 600.0
"""Seconds beyond that until a restart that Podman has told shows: whoever asked for it may have given it a longer
timeout, which no event tells. Later it came to nothing."""
_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)

_ALWAYS_ADDED = frozenset({"name", "image"})
_ADDED: Mapping[str, frozenset[str]] = {
    "die": frozenset({"exitCode", "execDuration"}),
    "exec_die": frozenset({"exitCode", "execID"}),
    "kill": frozenset({"signal"}),
    "rename": frozenset({"oldName"}),
    "resize": frozenset({"height", "width"}),
    "commit": frozenset({"comment", "imageID", "imageRef"}),
}
"""Attributes of a container event that the engine itself adds, by action: all others are labels whatever their name."""

_STATUS_AFTER: Mapping[str, ContainerStatus] = {
    "create": ContainerStatus.CREATED,
    "start": ContainerStatus.RUNNING,
    "unpause": ContainerStatus.RUNNING,
    "restart": ContainerStatus.RUNNING,
    "pause": ContainerStatus.PAUSED,
    "die": ContainerStatus.EXITED,
    "stop": ContainerStatus.EXITED,
    # The engine does these to a container that runs only. (`attach` is not among them: `docker run` attaches first.)
    "kill": ContainerStatus.RUNNING,
    "oom": ContainerStatus.RUNNING,
    "health_status": ContainerStatus.RUNNING,
    "top": ContainerStatus.RUNNING,
    "resize": ContainerStatus.RUNNING,
}
"""What an event tells of a container's state. Any other (`rename`, `update`, `copy`, …) tells nothing of it."""


@dataclass(slots=True, kw_only=True)
class ContainerRecord:
    """What is known of one container. Changed by HostState alone.

    Attributes:
        container: As the engine describes it, events applied.
        last_position: Position of the last event applied to it.
        restarts: Starts that followed an end, by whomever, since the container was created.
        restarts_by_agent: Those of them that the agent made.
        started: When its present life began, as far as events or inspections told; seconds since the epoch.
        ended: When it last ended, seconds since the epoch.
        exit_code: Of the last end; None while it never ended, or not known.
        end_cause: Who ended it.
        operator: What a person last did to it, as long as it counts.
        kill_at: When a terminating signal that was not ours was last sent in this life; None if none was.
        kill_signal: Which.
        own: The agent's newest action on it.
        settled_after_end: An inspection made after its last end found it `exited`: the engine leaves it so.
        oom_kills: OOM kills in this life: as the cgroup counted them when last looked at, and `oom` events since.
        oom_at: When the last `oom` in this life was told, seconds since the epoch; None if none was.
        doubted: When an inspection first differed from what events told, seconds since the epoch: the event may be
            on its way. None while they agree.
        restarting: When Podman told that somebody restarts it, seconds since the epoch, which it does before the end;
            None if it did not in this life.
        unhealthy_by: Id of the event that told that it is unhealthy; empty when none did in this life and this run.
        set_back_since: The start since which the clock was set back, so that it may show that time again; None: none.
    """

    container: Container
    last_position: int = 0
    restarts: int = 0
    restarts_by_agent: int = 0
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    end_cause: EndCause = EndCause.NONE
    operator: OperatorIntent | None = None
    kill_at: float | None = None
    kill_signal: str = ""
    own: OwnAction | None = None
    settled_after_end: bool = False
    oom_kills: int = 0
    oom_at: float | None = None
    doubted: float | None = None
    restarting: float | None = None
    unhealthy_by: str = ""
    set_back_since: float | None = None

    def comparable_start(self, now: float) -> float | None:
        """`started`, where stamps of now (wall time) can be compared with it: not if the clock was set back since."""
        started = self.started
        return None if started is None or started == self.set_back_since or started > now + AHEAD else started


def met(event: EngineEvent) -> ContainerRecord:
    """The record of a container of which an event is the first that is heard.

    What the event does not tell is not known: an inspection will tell it.
    """
    added = _ALWAYS_ADDED | _ADDED.get(event.action, frozenset())
    labels = {k: v for k, v in event.attributes.items() if k not in added}
    return ContainerRecord(
        container=Container(
            id=event.actor_id,
            name=event.name.lstrip("/"),
            image=event.attributes.get("image", ""),
            labels=labels,
            status=_STATUS_AFTER.get(event.action),
            created_at=event.time,
        )
    )


def change(record: ContainerRecord, event: EngineEvent, *, uncertain_until: float) -> None:
    """Apply an event to the record that it is about.

    Args:
        record: Changed in place.
        event: About the record's container.
        uncertain_until: Events were lost up to then, seconds since the epoch; 0 when none were.
    """
    ours = is_ours(record, event)
    if ours and record.own is not None:
        record.own = record.own.after(event, own_attribute(event, record.container, "signal"))
    match event.action:
        case "kill" if not ours:
            _signal(record, event)
        case "die":
            _end(record, event, ours=ours, uncertain_until=uncertain_until)
        case "restart" if event.podman:
            _restarting(record, event, ours=ours)
        case "stop" | "restart" if not ours:
            _by_hand(record, event)
        case "start":
            _begin(record, event, ours=ours)
        case "oom":
            record.oom_kills, record.oom_at = record.oom_kills + 1, event.time
        case _:
            record.container = _described(record.container, event)
            if event.action == "health_status":
                record.unhealthy_by = event.id if record.container.health is Health.UNHEALTHY else ""


def _signal(record: ContainerRecord, event: EngineEvent) -> None:
    stop_signal = _stop_signal(record)
    signal = own_attribute(event, record.container, "signal")
    # A signal that is not told counts as one that ends, and so does any while the stop signal is not known.
    if signal and stop_signal and not is_terminating(signal, stop_signal):
        return
    record.kill_at, record.kill_signal = event.time, signal
    if not is_reload(signal, stop_signal):
        _acted(record, "kill", event)


def is_ours(record: ContainerRecord, event: EngineEvent) -> bool:
    """Whether an event of the container, not applied yet, is the doing of the agent's own action."""
    return record.own is not None and record.own.covers(event, own_attribute(event, record.container, "signal"))


def _by_hand(record: ContainerRecord, event: EngineEvent) -> None:
    """A person's `stop` or `restart`, which comes after the end."""
    if event.action == "stop" and event.origin is Origin.SYNTHETIC:
        _killed_in_its_wait(record, event)
        return
    _acted(record, event.action, event)
    if event.action == "stop" and not _told_late(record, event):
        _stopped(record)


def _acted(record: ContainerRecord, action: str, event: EngineEvent) -> None:
    """A person did that, be it while an action of the agent was under way."""
    record.operator = operator_act(action, event.time)
    if record.own is not None:
        record.own = record.own.crossed_by(event)


def _told_late(record: ContainerRecord, stop: EngineEvent) -> bool:
    """Whether a `stop` is about the life before, which our restart has followed by another."""
    return record.own is not None and record.own.tells_of_the_life_before(stop) and record.kill_at is None


def judge_signal_anew(record: ContainerRecord, *, uncertain_until: float) -> None:
    """An inspection told the stop signal: a signal sent before may turn out to be none by which a person ends."""
    signal, stop_signal = record.kill_signal, _stop_signal(record)
    if not signal or record.operator is None or record.operator.action != "kill":
        return
    if record.end_cause is EndCause.OPERATOR and record.ended is not None:
        record.end_cause = end_cause(
            record.ended,
            concluded=False,
            ours=False,
            kill_at=record.kill_at,
            kill_signal=signal,
            stop_signal=stop_signal,
            stopped=False,
            started=record.started,
            uncertain_until=uncertain_until,
        )
        meant = record.end_cause is EndCause.OPERATOR
    else:
        meant = is_terminating(signal, stop_signal) and not is_reload(signal, stop_signal)
    if not meant:
        record.operator = None


def _restarting(record: ContainerRecord, event: EngineEvent, *, ours: bool) -> None:
    """Podman tells so before it stops what runs, and before it starts what has ended: there nothing is to be learnt."""
    if not record.container.running:
        return
    record.restarting = event.time
    if not ours:
        _acted(record, "restart", event)


def _is_restarted(record: ContainerRecord, event: EngineEvent) -> bool:
    """Whether an event is of the restart that Podman has told. One that came to nothing says nothing of a later end."""
    detail = record.container.detail
    timeout = None if detail is None else detail.stop_timeout
    takes = (_DEFAULT_STOP_TIMEOUT if timeout is None else timeout) + _RESTART_MAY_TAKE
    return record.restarting is not None and event.time - record.restarting <= takes


def _stop_signal(record: ContainerRecord) -> str:
    """Empty before an inspection told it."""
    return record.container.detail.stop_signal if record.container.detail is not None else ""


def _stopped(record: ContainerRecord) -> None:
    record.end_cause, record.settled_after_end = EndCause.OPERATOR, True
    if record.container.running or record.container.status in {ContainerStatus.RESTARTING, None}:
        record.container = replace(record.container, status=ContainerStatus.EXITED)


def _killed_in_its_wait(record: ContainerRecord, event: EngineEvent) -> None:
    """A `docker stop` is told by the engine's own event. A signal that was sent before did not end it."""
    record.kill_at, record.kill_signal = None, ""
    _acted(record, "kill", event)
    _stopped(record)


def _end(record: ContainerRecord, event: EngineEvent, *, ours: bool, uncertain_until: float) -> None:
    detail = record.container.detail
    record.ended = event.time
    record.exit_code = integer(own_attribute(event, record.container, "exitCode"))
    record.settled_after_end = False
    stopped = record.operator is not None and (record.operator.action == "stop" or _is_restarted(record, event))
    record.end_cause = end_cause(
        event.time,
        concluded=event.origin is Origin.SYNTHETIC,
        ours=ours,
        kill_at=record.kill_at,
        kill_signal=record.kill_signal,
        stop_signal=_stop_signal(record),
        stopped=stopped,
        started=record.started,
        uncertain_until=uncertain_until,
    )
    if event.podman and record.end_cause is EndCause.ITSELF and record.exit_code not in _FAULTS:
        record.end_cause = EndCause.UNKNOWN  # of a stop that a container heeds at once, Podman tells its end alone
    if record.end_cause is EndCause.OPERATOR and not stopped:
        record.operator = operator_act("kill" if event.origin is not Origin.SYNTHETIC else "stop", event.time)
    # The engine itself starts it again under a restart policy: until an inspection says otherwise, it will.
    comes_back = (
        detail is not None
        and detail.restart_policy in RESTARTED_BY_ENGINE
        and record.end_cause is not EndCause.OPERATOR
        and not (detail.restart_policy == "on-failure" and record.exit_code == 0)
    )
    status = ContainerStatus.RESTARTING if comes_back else ContainerStatus.EXITED
    if detail is not None:
        count = detail.restart_count + comes_back  # the engine counts a restart when it decides on it
        detail = replace(detail, pid=0, finished_at=event.time, exit_code=record.exit_code, restart_count=count)
    record.container = replace(record.container, status=status, detail=detail)


def _begin(record: ContainerRecord, event: EngineEvent, *, ours: bool) -> None:
    if record.ended is not None:
        record.restarts += 1
        record.restarts_by_agent += ours
    # Started by hand what was stopped by hand: the operator wants it to run again. A `restart` by hand
    # is marked by its own event, which comes last. Under an action of ours nobody started it by hand: what a person
    # did while it was under way goes on counting. And what the engine starts again by itself nobody started by hand.
    crossed = ours and record.own is not None and record.own.crossed
    by_engine = not ours and record.container.status is ContainerStatus.RESTARTING
    if _is_restarted(record, event) and not ours:
        record.operator = operator_act("restart", event.time)  # a `stop` may have been told besides
    elif not crossed and not by_engine:
        record.operator = None
    record.restarting = None
    record.end_cause = EndCause.NONE
    record.kill_at, record.kill_signal = None, ""
    record.started, record.unhealthy_by = event.time, ""
    record.oom_kills, record.oom_at = 0, None
    detail = record.container.detail
    health = record.container.health
    if detail is not None:
        # pid and the exact StartedAt are known after the next inspection; what the check demands stays.
        detail = replace(detail, pid=0, started_at=None, oom_killed=False, failing_streak=None, start_failed=False)
        if not by_engine:
            detail = replace(detail, restart_count=0)
    if health is not Health.NONE:
        health = Health.STARTING
    record.container = replace(record.container, status=ContainerStatus.RUNNING, health=health, detail=detail)


def _described(container: Container, event: EngineEvent) -> Container:
    """The container after an event that only changes how it is described."""
    match event.action:
        case "pause":
            return replace(container, status=ContainerStatus.PAUSED)
        case "unpause":
            return replace(container, status=ContainerStatus.RUNNING)
        case "health_status" if event.detail in set(Health):
            return replace(container, health=Health(event.detail))
        case "rename":
            return replace(container, name=event.name.lstrip("/"))
        case _:
            return container


def end_not_seen(container: Container) -> EndCause:
    """Of a container that is met as it is: whoever ended it, the agent did not see it."""
    over = container.status in {ContainerStatus.EXITED, ContainerStatus.DEAD}
    return EndCause.UNKNOWN if over else EndCause.NONE


def ended_by_itself(record: ContainerRecord) -> bool:
    """Whether it ended of its own, and the agent has done nothing to it since."""
    acted = record.own is not None and record.ended is not None and record.own.begun > record.ended
    return record.end_cause is EndCause.ITSELF and not acted


def own_attribute(event: EngineEvent, container: Container | None, name: str) -> str:
    """An attribute as the engine itself gave it, empty where it can't be told.

    The engine copies a container's labels over its own attributes: where a label bears the name, the value is the
    label's, and anybody's text.
    """
    if container is not None and name in container.labels:
        return ""
    return event.attributes.get(name, "")


def integer(text: str) -> int | None:
    """A number of at most ten digits; None for anything else."""
    return int(text) if _INTEGER.fullmatch(text) else None
