"""Everything the agent publishes as an event, and what is known beside it at that moment."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import field

from watchtower_agent.model.approval import Approval
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision, Dropped, Edge, Held
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.service import Judgement
from watchtower_agent.model.values import dataclass

Fact = EngineEvent | Edge | Decision | Held | Dropped | Intent | Outcome | Approval | Notice
"""What becomes one CloudEvent. Its topic ends in:

EngineEvent  <kind>/<action>/<key of the actor>
Edge         policy/firing/<policy>     policy/resolved/<policy>
Decision     policy/decision/<policy>
Held         policy/held/<policy>
Dropped      policy/dropped/<policy>
Approval     policy/approval_<state>/<policy>
Intent       action/started/<target>
Outcome      action/<result>/<target>   (succeeded, failed, interrupted, abandoned, ineffective)
             of a notify: action/notify/<target>
Notice       <kind>/<action>/<subject or self>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """A container with what the agent itself knows of it: the content of its retained state topic.

    Attributes:
        container: As the engine describes it.
        restarts: Starts that followed an end, by whomever, counted by the agent since the container was created.
        restarts_by_agent: Those of them that the agent made.
        operator_action: What a person last did to it (`stop`, `kill`, `restart`, …), empty when nothing holds.
        operator_action_at: When, seconds since the epoch.
        hands_off_until: Until when the agent leaves it alone for that; None while it is stopped, or when nothing holds.
        oom_kills: OOM kills in its present life, or its last one once it ended; None when not known.
        last_sample: The newest known values of its sampled metrics, by catalogue name. Unknown ones are absent.
    """

    container: Container
    restarts: int = 0
    restarts_by_agent: int = 0
    operator_action: str = ""
    operator_action_at: float | None = None
    hands_off_until: float | None = None
    oom_kills: int | None = None
    last_sample: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsTable:
    """Running containers with the newest values of their sampled metrics, as columns: a batch of metrics.

    Attributes:
        containers: As the engine describes them.
        columns: Catalogue name -> one number per container, in their order. NaN where it is not known.
        uptimes: Seconds since each was started, in their order; None where that is not known.
        means: Of replicas of services that are scaled: place among the containers -> `str(Window)` -> value. Unknown
            ones are absent.
        judgements: What this agent makes of a Swarm's services that it scales, while its engine leads the Swarm.
    """

    containers: Sequence[Container] = ()
    columns: Mapping[str, array[float]] = field(default_factory=dict)
    uptimes: Sequence[float | None] = ()
    means: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    judgements: Sequence[Judgement] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """The content of the retained `info` topic, beside what the composer knows itself (host, install id, versions).

    Attributes:
        policies: Policy name -> mode.
        policies_digest: Hash over the folder that is in force.
        settings_digest: Hash over the agent's own configuration, secrets left out.
        last_sequence: The highest sequence number given to an event.
        mode: The agent's mode: `enforce` or `observe`.
    """

    policies: Mapping[str, str]
    policies_digest: str
    settings_digest: str
    last_sequence: int
    mode: str
