"""Facts become messages: one CloudEvent each, in structured JSON, and what may not leave the agent stays in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final
from urllib.parse import quote

from watchtower_agent.model.approval import Approval
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision, Dropped, Edge, Held, Severity, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EXEC_ACTIONS, SWARM_KINDS, EngineEvent, EventKind, Origin
from watchtower_agent.model.fact import AgentInfo, ContainerView, Fact, MetricsTable
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.version import VERSION
from watchtower_agent.publishing import engine_data, payloads
from watchtower_agent.publishing.decision_data import (
    approval_data,
    decision_data,
    dropped_data,
    edge_data,
    held_data,
    outcome_data,
)
from watchtower_agent.publishing.encoding import bounded, clipped, rfc3339, rfc3339_ns, to_json
from watchtower_agent.publishing.home_assistant import HomeAssistant, HomeAssistantOptions
from watchtower_agent.publishing.payloads import AllowedLabels, Json
from watchtower_agent.publishing.sample_lines import SampleLines
from watchtower_agent.publishing.topics import Topics, container_key, key

LARGEST_EVENT: Final = 128 * 1024
"""Bytes of one event's payload at most."""

_SEVERITIES: Final = frozenset(severity.value for severity in Severity)
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(f"{chr(last - 1)}{chr(last)}" for last in range(0xFFFF, 0x110000, 0x10000))
_UNFIT = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]")
"""What texts of MQTT must or should not have (section 1.5.4). mosquitto hangs up on a message with one, each time."""
_ALWAYS_THERE: Final = ("freed",)
"""Keys of notices that the contract promises always, null where not known: what else is unknown is left out."""
_MIRRORED = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "sequence",
    "severity",
    "correlationid",
    "origin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What differs from fact to fact."""

    kind: str
    action: str
    name_key: str
    subject: str
    time: str
    severity: str
    data: Json
    origin: str = Origin.AGENT.value
    id: str = field(default="")


class CloudEventComposer:
    """The `Composer` port: pure, told of the engine by `engine_changed`."""

    def __init__(
        self,
        *,
        host: str,
        install_id: str,
        base_topic: str = "watchtower",
        labels: Sequence[str] = (),
        exec_events: bool = False,
        per_container: bool = False,
        home_assistant: HomeAssistantOptions | None = None,
    ) -> None:
        """Fix what does not change while the agent runs. Of `exec_events` the present value counts.

        Args:
            host: This host's name, a level of every topic.
            install_id: Of the store; the agent's own events are named after it.
            base_topic: First level or levels of every topic.
            labels: Globs of the container labels that may leave the agent.
            exec_events: Publish exec events too. Their commands never leave.
            per_container: Also publish each container's sample on a topic of its own. With Home Assistant, always.
            home_assistant: Tell it of this host and its containers; None: it is told nothing.
        """
        self._topics = Topics(base=base_topic, host=host)
        self._host = host
        self._install_id = install_id
        self._allowed = AllowedLabels(labels)
        self.exec_events = exec_events
        self._per_container = per_container or home_assistant is not None
        self._home_assistant = (
            HomeAssistant(home_assistant, base=base_topic, host=host, topics=self._topics) if home_assistant else None
        )
        self._lines = SampleLines()
        self._engine: EngineInfo | None = None
        self._source = f"/watchtower/hosts/{quote(host, safe='')}"

    @property
    def topics(self) -> Topics:
        """The topics of this host."""
        return self._topics

    def engine_changed(self, engine: EngineInfo) -> None:
        """From now on events come from this engine."""
        self._engine = engine
        self._source = f"/watchtower/hosts/{quote(self._host, safe='')}/engines/{quote(engine.id, safe=':')}"

    def event(
        self, fact: Fact, *, sequence: int, correlation_id: str, view: ContainerView | None
    ) -> EventMessage | None:
        """One CloudEvent, or None for what is not published: exec events by default, another node's Swarm events."""
        draft = self._draft(fact, view)
        if draft is None:
            return None
        attributes: Json = {
            "specversion": "1.0",
            "id": draft.id or f"{self._install_id}-{sequence}",
            "source": self._source,
            "type": f"io.watchtower.{draft.kind}.{draft.action}.v1",
            "subject": draft.subject,
            "time": draft.time,
            "datacontenttype": "application/json",
            "sequence": f"{sequence:012d}",
            "severity": draft.severity,
        }
        if correlation_id:
            attributes["correlationid"] = correlation_id
        attributes["origin"] = draft.origin
        attributes["data"] = draft.data
        payload = to_json(attributes)
        if len(payload) > LARGEST_EVENT:
            attributes["data"] = _essence(draft.data)
            payload = to_json(attributes)
        return EventMessage(
            sequence=sequence,
            topic=self._topics.event(draft.kind, draft.action, draft.name_key),
            payload=payload,
            properties=tuple((name, str(attributes[name])) for name in _MIRRORED if name in attributes),
        )

    def container_state(self, view: ContainerView) -> StateMessage:
        """The retained state of one container."""
        return StateMessage(
            topic=self._topics.container_state(view.container.name),
            payload=to_json(payloads.container_state(view, host=self._host, allowed=self._allowed)),
        )

    def container_topic(self, name: str) -> str:
        """The topic of the retained state of the container of that name."""
        return self._topics.container_state(name)

    def topics_of_container(self, name: str) -> Sequence[str]:
        """All retained topics of the container of that name, in the order in which they are to be cleared."""
        shown = self._home_assistant
        state = self._topics.container_state(name)
        return (state,) if shown is None else (shown.container_topic(name), state)

    def container_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Those of the topics that are retained ones of containers of this host."""
        shown = self._home_assistant
        return [
            topic
            for topic in topics
            if self._topics.is_container_state(topic) or (shown is not None and shown.is_container(topic))
        ]

    def former_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Retained topics that other settings left: of the given ones, and the status under another name."""
        shown = self._home_assistant
        return self._topics.former([topic for topic in topics if shown is None or not shown.is_own(topic)])

    def container_device(self, container: Container, beside: Iterable[str] = ()) -> StateMessage | None:
        """How Home Assistant shows the container, beside others of these names."""
        return None if self._home_assistant is None else self._home_assistant.container(container, beside)

    def host_device(self) -> StateMessage | None:
        """How Home Assistant shows this host."""
        return None if self._home_assistant is None else self._home_assistant.host(self._engine)

    def info(self, info: AgentInfo) -> StateMessage:
        """The retained `info` topic."""
        content = payloads.agent_info(
            info, host=self._host, version=VERSION, install_id=self._install_id, engine=self._engine
        )
        return StateMessage(topic=self._topics.info, payload=to_json(content))

    def metrics(
        self,
        batch: SampleBatch,
        table: MetricsTable,
        engine: Mapping[str, float],
        *,
        sequence: int,
        interval: float,
    ) -> Sequence[MetricsMessage]:
        """The batch on `metrics`, and one message per container where the settings ask for it."""
        expiry = max(1, math.ceil(3 * interval))
        head: Json = {"schema": 1, "host": self._host}
        if self._engine is not None:  # else whether there is a Swarm is not known yet
            head["node"] = self._engine.swarm_node_id
        head["time"] = rfc3339(batch.at.wall)
        head["interval"] = interval
        head["sequence"] = sequence
        content = {
            **head,
            "host_metrics": payloads.known_numbers(item for item in batch.host.items() if item[0].startswith("host.")),
            "engine": payloads.known_numbers(engine.items()),
        }
        if table.judgements:
            content["services"] = [payloads.judgement(each) for each in table.judgements]
        lines = self._lines.of(table)
        payload = f'{_opened(content)},"containers":[{",".join(lines)}]}}'.encode()
        messages = [MetricsMessage(topic=self._topics.metrics, payload=payload, expiry=expiry)]
        if self._per_container:
            opened = _opened(head)
            messages += [
                MetricsMessage(
                    topic=self._topics.container_metrics(container.name),
                    payload=f"{opened},{line.removeprefix('{')}".encode(),
                    expiry=expiry,
                )
                for container, line in zip(table.containers, lines, strict=True)
            ]
        return messages

    def _draft(self, fact: Fact, view: ContainerView | None) -> Draft | None:  # noqa: PLR0911 - one return per type of fact
        match fact:
            case EngineEvent():
                return self._engine_event(fact, view) if self._published(fact) else None
            case Edge():
                action = "firing" if fact.firing else "resolved"
                data = edge_data(fact, self._allowed)
                severity = fact.severity if fact.firing else Severity.INFO
                return self._policy(action, fact.policy, fact.target, fact.at, severity, data, view)
            case Decision():
                data = decision_data(fact, self._allowed)
                return self._policy("decision", fact.policy, fact.target, fact.decided_at, Severity.INFO, data, view)
            case Held():
                decision = fact.decision
                at = decision.decided_at if fact.at is None else fact.at
                data = held_data(fact, self._allowed)
                return self._policy("held", decision.policy, decision.target, at, Severity.INFO, data, view)
            case Dropped():
                decision = fact.decision
                data = dropped_data(fact, self._allowed)
                return self._policy("dropped", decision.policy, decision.target, fact.at, Severity.INFO, data, view)
            case Approval():
                decision, action = fact.decision, f"approval_{fact.state}"
                data = approval_data(fact, self._allowed)
                return self._policy(action, decision.policy, decision.target, fact.at.wall, fact.severity, data, view)
            case Intent():
                data = decision_data(fact.decision, self._allowed)
                return self._action("started", fact.decision.target, fact.at, Severity.INFO.value, data, view)
            case Outcome():
                action = "notify" if fact.decision.verb is Verb.NOTIFY else fact.result.value
                data = outcome_data(fact, self._allowed)
                at = fact.finished_at if fact.verified_at is None else fact.verified_at
                return self._action(action, fact.decision.target, at, _outcome_severity(fact), data, view)
            case Notice():
                return _notice(fact)

    def _published(self, event: EngineEvent) -> bool:
        if event.action in EXEC_ACTIONS and not self.exec_events:
            return False
        if event.swarm or event.kind in SWARM_KINDS:
            return self._engine is not None and self._engine.swarm_leader
        return True

    def _engine_event(self, event: EngineEvent, view: ContainerView | None) -> Draft:
        name, name_key = engine_data.name_and_key(event, view)
        data = engine_data.engine_event_data(event, view, self._allowed)
        return Draft(
            kind=event.kind.value,
            action=key(event.action),
            name_key=name_key,
            subject=_subject(event.kind.value, name),
            time=rfc3339_ns(event.time_ns),
            severity=engine_data.severity(event, data).value,
            data=data,
            origin=event.origin.value,
            id=event.id,
        )

    def _policy(
        self,
        action: str,
        policy: str,
        target: Target,
        at: float,
        severity: Severity,
        data: Json,
        view: ContainerView | None,
    ) -> Draft:
        self._add_container(data, target, view)
        return Draft(
            kind=EventKind.POLICY.value,
            action=action,
            name_key=key(policy),
            subject=_subject("policy", policy),
            time=rfc3339(at),
            severity=severity.value,
            data=data,
        )

    def _action(
        self, action: str, target: Target, at: float, severity: str, data: Json, view: ContainerView | None
    ) -> Draft:
        self._add_container(data, target, view)
        return Draft(
            kind=EventKind.ACTION.value,
            action=action,
            name_key=container_key(target.name) if target.kind is TargetKind.CONTAINER else key(target.name),
            subject=_subject(target.kind.value, target.name),
            time=rfc3339(at),
            severity=severity,
            data=data,
        )

    def _add_container(self, data: Json, target: Target, view: ContainerView | None) -> None:
        if view is not None and target.kind is TargetKind.CONTAINER:
            data["container"] = payloads.container_identity(view.container, self._allowed)


def _opened(content: Json) -> str:
    """As JSON whose end is left open, so that more can follow."""
    return to_json(content).decode().removesuffix("}")


def _subject(kind: str, name: str) -> str:
    shown = clipped(_UNFIT.sub("�", name), payloads.LONGEST_NAME) if name else "self"
    return f"{kind}/{shown}"


def _outcome_severity(outcome: Outcome) -> str:
    if outcome.decision.verb is Verb.NOTIFY:
        asked = outcome.decision.parameters.get("severity")
        return asked if isinstance(asked, str) and asked in _SEVERITIES else Severity.WARNING.value
    return {
        "succeeded": Severity.INFO,
        "abandoned": Severity.INFO,
        "failed": Severity.WARNING,
        "interrupted": Severity.WARNING,
        "ineffective": Severity.WARNING,
    }[outcome.result.value].value


def _notice(notice: Notice) -> Draft:
    facts = bounded(notice.data)
    unknown = {name: None for name in _ALWAYS_THERE if name in notice.data}
    return Draft(
        kind=notice.kind.value,
        action=key(notice.action),
        name_key=key(notice.subject),
        subject=_subject(notice.kind.value, notice.subject),
        time=rfc3339(notice.at),
        severity=notice.severity.value,
        data={**unknown, **(facts if isinstance(facts, dict) else {}), "reason": clipped(notice.reason)},
    )


def _essence(data: Json) -> Json:
    """What is left of data that is too large: its short texts and numbers, and that something is missing."""
    kept: Json = {name: value for name, value in data.items() if value is None or isinstance(value, bool | int | float)}
    kept.update({name: clipped(value, 512) for name, value in data.items() if isinstance(value, str)})
    container = data.get("container")
    if isinstance(container, dict):
        kept["container"] = {**container, "labels": {}}
    kept["truncated"] = True
    return kept
