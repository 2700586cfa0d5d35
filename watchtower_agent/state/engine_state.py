"""What is known of the engine as a service. Pure."""

from __future__ import annotations

from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.values import dataclass


@dataclass(slots=True, kw_only=True)
class EngineState:
    """The engine as a service.

    Attributes:
        info: Which engine; None before it was first found.
        connected: Its event stream is open.
        responding: It answered the last ping.
        latency: Of the last ping, seconds; None before the first, and while the engine is lost.
        event_lag: Between the engine's stamp and our handling of the newest event, seconds; None likewise.
        images: How many it has; None before they were counted, and while the engine is lost.
        since: When `connected` last changed, seconds since the epoch.
        listed: The inventory was listed since the engine was last found, and since events were last lost.
        counted_by: The containers were listed for the first time ever, and not each that runs has been inspected: until
            when, on the monotonic clock, seconds, that is waited for; None when it is not.
        alive_at: When it last gave a sign of life (an event, a ping, a listing, an inspection), on the monotonic clock,
            seconds; None before the first. As long as it does, what is known of its containers is as new as its events.
        silence_allowed: Seconds without a sign of life after which what is known of its containers is out of date.
        restarts: Of the daemon, seen by the agent.
        restarting: From when to when, seconds since the epoch, its last restart that the agent saw took: a daemon that
            goes down, or comes back after a crash, ends containers as a person does.
        last_error: Why it was last lost; empty while it is there.
        gaps: Gaps in its events since the agent started.
        events: Its events handled since the agent started.
        uncertain_until: Events were lost up to then, seconds since the epoch: what they would have told of a later
            end (a `kill` before a `die`) may be among them. On the engine's clock, as events are.
        clock_offset: Seconds by which the engine's clock is ahead of ours; 0 for an engine on this host.
    """

    info: EngineInfo | None = None
    connected: bool = False
    responding: bool | None = None
    latency: float | None = None
    event_lag: float | None = None
    images: int | None = None
    since: float = 0.0
    listed: bool = False
    counted_by: float | None = None
    alive_at: float | None = None
    silence_allowed: float = 15.0
    restarts: int = 0
    restarting: tuple[float, float] = (0.0, 0.0)
    last_error: str = ""
    gaps: int = 0
    events: int = 0
    uncertain_until: float = 0.0
    clock_offset: float = 0.0

    @property
    def id(self) -> str:
        """Which it is; empty before it was first found."""
        return self.info.id if self.info else ""

    @property
    def elsewhere(self) -> bool:
        """Whether it has, as far as is known, a host and a clock of its own."""
        return self.info is not None and not self.info.url.startswith("unix:")

    def manager(self) -> str:
        """The id of its node while it is there, and a manager of a Swarm; else empty."""
        info = self.info
        return info.swarm_node_id if info is not None and self.connected and info.swarm_manager else ""
