"""What reading the settings anew has brought, on its way to the loop. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.protection import Protection

_PROBLEMS_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsTaken:
    """Other settings are in force.

    Attributes:
        mode: The agent's mode.
        protection: What no policy may touch.
        shared_cause: When many failures are taken for one.
        digest: Hash over the settings in force.
        taken: Keys whose value is another one from now on.
        waiting: Keys whose value is another one from the next start on.
        at: Seconds since the epoch.
    """

    mode: str
    protection: Protection
    shared_cause: SharedCauseRule
    digest: str
    taken: tuple[str, ...]
    waiting: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRejected:
    """The settings could not be read anew: those in force stay.

    Attributes:
        problems: Each with its place, and what would be right.
        at: Seconds since the epoch.
    """

    problems: tuple[str, ...]
    at: float


def told(seen: SettingsTaken | SettingsRejected) -> Notice:
    """What people hear of it."""
    if isinstance(seen, SettingsTaken):
        now = f"taken over: {', '.join(seen.taken)}" if seen.taken else "nothing of the settings changes now"
        later = f"; at the next start of the agent: {', '.join(seen.waiting)}" if seen.waiting else ""
        return Notice(
            kind=EventKind.AGENT,
            action="settings_changed",
            severity=Severity.WARNING if seen.waiting else Severity.INFO,
            reason=f"{now}{later}",
            data={"taken": list(seen.taken), "waiting": list(seen.waiting), "mode": seen.mode, "digest": seen.digest},
            at=seen.at,
        )
    count = len(seen.problems)
    return Notice(
        kind=EventKind.AGENT,
        action="settings_rejected",
        severity=Severity.WARNING,
        reason=f"the settings have {count} problem{'' if count == 1 else 's'}; those in force stay, and the agent "
        f"would not start with these. The first: {seen.problems[0]}",
        data={"problems": list(seen.problems[:_PROBLEMS_TOLD]), "count": count},
        at=seen.at,
    )
