"""Change a container's limits of CPU and memory while it runs."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.actions.parameters import number
from watchtower_agent.model.decision import Decision, Number
from watchtower_agent.ports.engine import Engine


async def resize(engine: Engine, decision: Decision) -> Mapping[str, Number]:
    """Do it, with the `memory` (bytes) and `cpu` (cores) that the decision carries; what it does not is left.

    Returns:
        `memory_before`, `memory_swap_before` and `cpu_before`: what it takes to revert it.
    """
    memory, cpu = number(decision, "memory"), number(decision, "cpu")
    before = await engine.resize(decision.target.id, memory=None if memory is None else int(memory), cpu=cpu)
    return {f"{name}_before": value for name, value in before.items()}
