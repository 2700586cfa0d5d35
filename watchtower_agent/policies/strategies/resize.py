"""What a policy says of containers that it resizes: `resize:`, loaded and checked. Pure."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.rules import Bounds, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRule:
    """Bounds of a container's memory limit, in bytes."""

    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuRule:
    """Bounds of a container's CPU limit, in cores."""

    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeStrategy:
    """`resize:` of a policy, beside `select:`. It needs no other trigger: it looks all the time.

    Attributes:
        memory: Bounds of the memory limit; None: it is left alone.
        cpu: Bounds of the CPU limit; None: it is left alone. One of both is given.
        data: Seconds of what was measured that it takes before anything is lowered.
    """

    memory: MemoryRule | None = None
    cpu: CpuRule | None = None
    data: float = 86400.0

    @property
    def names(self) -> frozenset[str]:
        """Catalogue names that it goes by."""
        cpu = {"cpu.cores"} if self.cpu is not None else set()
        memory = {"memory.working_set", "memory.oom_kills"} if self.memory is not None else set()
        return frozenset(cpu | memory)

    @property
    def rules(self) -> Rules:
        """How limits are chosen."""
        return Rules(
            memory=None if self.memory is None else Bounds(least=self.memory.least, most=self.memory.most),
            cpu=None if self.cpu is None else Bounds(least=self.cpu.least, most=self.cpu.most),
            data=self.data,
        )
