"""What is known of a container at one moment: all that a recommendation rests on beside its past."""

from __future__ import annotations

import math
from dataclasses import field

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.meter import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A container that runs, at one moment. Nobody looks before its limits are known.

    Attributes:
        container_id: Its full id: another one under the same name was recreated.
        memory: Its own memory limit, bytes; infinite without one.
        cpu: Cores that its own quota grants; infinite without one.
        working_set: The newest, bytes; None: not known, or too old.
        cores: The newest use of CPU; None: not known, or too old.
        measured: What was measured since the last look; nothing for who only wants to know.
        killed: The kernel killed one of its processes for want of memory since the last look.
        reservation: Bytes of memory that it reserves: the engine refuses smaller limits; 0 for none.
        host_cpus: CPUs that its host has: the engine refuses larger limits; infinite where that is not known.
        least_cpu: Cores of the smallest limit that the kernel takes of it; 0 where that is not known.

    Raises:
        ValueError: A limit that is none.
    """

    container_id: str
    memory: float = math.inf
    cpu: float = math.inf
    working_set: float | None = None
    cores: float | None = None
    measured: Measured = field(default_factory=Measured)
    killed: bool = False
    reservation: float = 0.0
    host_cpus: float = math.inf
    least_cpu: float = 0.0

    def __post_init__(self) -> None:
        if not (self.memory > 0.0 and self.cpu > 0.0):
            raise ValueError(f"a limit is above 0, and infinite where there is none: {self.memory}, {self.cpu}")
