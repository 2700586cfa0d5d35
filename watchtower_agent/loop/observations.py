"""Observations: everything that can reach the loop, by whom it tells of it. Pure."""

from __future__ import annotations

from watchtower_agent.loop.settings_news import SettingsRejected, SettingsTaken
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    EngineObservation,
    PoliciesRejected,
    ReadingObserved,
    ScheduleDue,
    ServicesObserved,
    SiblingObserved,
)
from watchtower_agent.model.outcome import Outcome, Unsettled
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.model.removal import DiskListed, DiskUnlisted, PlanAsked, PruneAsked, Removed, Retagged
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.policies.policy import PolicySet

DiskTold = DiskListed | DiskUnlisted | Removed | Retagged
"""What the engine tells of its disk."""

Told = Notice | PauseAsked | ResumeAsked | ApprovalAnswered | TriggerAsked | RevertAsked | PlanAsked | PruneAsked
"""What people want, and what parts of the agent have to say."""

Observation = (
    EngineObservation
    | SampleBatch
    | Outcome
    | Unsettled
    | PolicySet
    | PoliciesRejected
    | ScheduleDue
    | ServicesObserved
    | ReadingObserved
    | SiblingObserved
    | DiskTold
    | SettingsTaken
    | SettingsRejected
    | Told
)
"""Everything that can reach the inbox."""
