"""What all models of the YAML document have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from watchtower_agent.policies.times.zones import Zone, zone_of


class Keys(BaseModel):
    """Unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def utc() -> Zone:
    """The time zone where none is written."""
    return zone_of("UTC")
