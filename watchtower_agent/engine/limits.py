"""A container's limits as it was configured with them, and what to tell the engine to change them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.engine.fields import mapping, number
from watchtower_agent.model.values import dataclass

DEFAULT_CPU_PERIOD: Final = 100_000
"""Microseconds, where a quota is given without one."""
UNLIMITED: Final = -1
"""The engine's word for swap without a limit, and for no quota."""

LEAST_CPU_QUOTA: Final = 1_000
"""Microseconds: the kernel takes no smaller quota, however short the period is."""

_NANO: Final = 1e9
_BY_DEFAULT: Final = 2
"""Memory and swap together, in units of memory, where a container says nothing of swap: the engine's own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a container may have.

    Attributes:
        memory: Bytes; 0 without a limit.
        swap: Bytes of memory and swap together; 0 where nothing was said, -1 without a limit.
        nano_cpus: Billionths of cores; 0 where they are not given so.
        quota: Microseconds of CPU in each period; 0 where they are not given so, -1 without a limit.
        period: Microseconds; 0 for the default.
    """

    memory: int = 0
    swap: int = 0
    nano_cpus: int = 0
    quota: int = 0
    period: int = 0

    @property
    def by_quota(self) -> bool:
        """Whether it has a quota or a period of its own, though it be no limit: the engine takes no `NanoCpus` then."""
        return self.nano_cpus <= 0 and (self.quota != 0 or self.period != 0)

    @property
    def whole_period(self) -> int:
        """Microseconds that a quota counts for."""
        return self.period or DEFAULT_CPU_PERIOD

    @property
    def cpu(self) -> float | None:
        """Cores that are granted; None without a limit."""
        if self.nano_cpus > 0:
            return self.nano_cpus / _NANO
        return self.quota / self.whole_period if self.quota > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the host has: where a limit can't be taken away, it is raised to this.

    Attributes:
        memory: Bytes.
        cores: Processors.
    """

    memory: int
    cores: int


def configured(host_config: Mapping[object, object]) -> Limits:
    """From the `HostConfig` of an inspection."""
    return Limits(
        memory=max(0, _whole(host_config.get("Memory"))),
        swap=_whole(host_config.get("MemorySwap")),
        nano_cpus=_whole(host_config.get("NanoCpus")),
        quota=_whole(host_config.get("CpuQuota")),
        period=max(0, _whole(host_config.get("CpuPeriod"))),
    )


def granted_cpu(host_config: Mapping[object, object]) -> float | None:
    """Cores of its quota, from the `HostConfig` of an inspection; None without one."""
    return configured(host_config).cpu


def least_cpu(host_config: Mapping[object, object]) -> float:
    """Cores of the smallest limit that the kernel takes of it, which is more where its period is shorter."""
    limits = configured(host_config)
    return LEAST_CPU_QUOTA / (limits.whole_period if limits.by_quota else DEFAULT_CPU_PERIOD)


def limits_of(inspection: object) -> Limits:
    """From an inspection."""
    return configured(mapping(mapping(inspection).get("HostConfig")))


def wanted(before: Limits, *, memory: int | None, cpu: float | None, room: Room | None) -> dict[str, int]:
    """What to send to the engine.

    Memory and swap go together: a lower limit of memory alone leaves more swap, and a higher one can be refused.

    Args:
        before: The limits in force.
        memory: Bytes; 0 for no limit, None to leave it.
        cpu: Cores; 0 for no limit, None to leave it.
        room: What the host has; None where neither is 0.
    """
    body: dict[str, int] = {}
    if memory is not None:
        # The engine takes 0 for `leave it`, and refuses less.
        if memory > 0:
            body |= {"Memory": memory, "MemorySwap": _swap(before, memory)}
        elif before.memory and room is not None:
            # The engine takes swap of -1 where there was a limit, says it has it, and leaves the old one in force.
            body |= {"Memory": room.memory, "MemorySwap": UNLIMITED if before.swap < 0 else _BY_DEFAULT * room.memory}
    return body | ({} if cpu is None else _cpu(before, cpu, room))


def _cpu(before: Limits, cpu: float, room: Room | None) -> dict[str, int]:
    if before.by_quota:
        if cpu > 0:
            return {"CpuQuota": max(1, round(cpu * before.whole_period)), "CpuPeriod": before.whole_period}
        return {"CpuQuota": UNLIMITED, "CpuPeriod": before.whole_period} if before.quota > 0 else {}
    if cpu > 0:
        return {"NanoCpus": max(1, round(cpu * _NANO))}
    return {"NanoCpus": round(room.cores * _NANO)} if before.nano_cpus and room is not None else {}


def created_with(before: Limits, *, memory: int | None, cpu: float | None) -> dict[str, int]:
    """What a container's creation says of its limits that is like another one but for these.

    Args:
        before: The other one's.
        memory: Bytes; 0 for no limit, None for the other one's.
        cpu: Cores; 0 for no limit, None for the other one's.
    """
    body: dict[str, int] = {}
    if memory is not None:
        unlimited = {"Memory": 0, "MemorySwap": min(before.swap, 0)}
        body |= {"Memory": memory, "MemorySwap": _swap(before, memory)} if memory > 0 else unlimited
    if cpu is not None:
        unlimited = {"CpuQuota": 0} if before.by_quota else {"NanoCpus": 0}
        body |= _cpu(before, cpu, None) if cpu > 0 else unlimited
    return body


def differences(body: Mapping[str, int], after: Limits) -> tuple[str, ...]:
    """What the engine has otherwise than it was told, in words.

    An engine that does not count swap leaves it without a limit, and says so at every container's creation: that is as
    it should be there.
    """
    has = {"Memory": after.memory, "MemorySwap": after.swap, "NanoCpus": after.nano_cpus, "CpuQuota": after.quota}
    return tuple(
        f"{name} is {has[name]}, not {told}"
        for name, told in body.items()
        if name in has and has[name] != told and not (name == "MemorySwap" and has[name] in {0, UNLIMITED})
    )


def _swap(before: Limits, memory: int) -> int:
    if before.swap < 0:
        return UNLIMITED
    if before.swap == 0 or before.memory == 0:
        return _BY_DEFAULT * memory
    return memory + max(0, before.swap - before.memory)


def _whole(value: object) -> int:
    known = number(value)
    return 0 if known is None else value if isinstance(value, int) else int(known)
