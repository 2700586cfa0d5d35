"""The YAML document's models of `resize`: which keys there are, what each is for, and what type it has."""

from __future__ import annotations

from pydantic import Field

from watchtower_agent.policies.files.amounts import CpuLimit, DataLength, MemoryLimit
from watchtower_agent.policies.files.keys import Keys
from watchtower_agent.policies.strategies.resize import ResizeStrategy


class MemoryKeys(Keys):
    """Bounds of a container's memory limit. Both are required."""

    least: MemoryLimit | None = Field(default=None, alias="min", description="The lowest limit, 6MiB at least.")
    most: MemoryLimit | None = Field(default=None, alias="max", description="The highest limit.")


class CpuKeys(Keys):
    """Bounds of a container's CPU limit, in cores. Both are required."""

    least: CpuLimit | None = Field(default=None, alias="min", description="The lowest limit, 0.01 at least.")
    most: CpuLimit | None = Field(default=None, alias="max", description="The highest limit.")


class ResizeKeys(Keys):
    """Limits that follow what a container uses; memory, cpu or both."""

    memory: MemoryKeys | None = Field(default=None, description="Bounds of the memory limit.")
    cpu: CpuKeys | None = Field(default=None, description="Bounds of the CPU limit, in cores.")
    data: DataLength = Field(
        default=ResizeStrategy().data,
        description="How much of what was measured it takes before a limit is lowered, 1h at least.",
        json_schema_extra={"default": "24h"},
    )
