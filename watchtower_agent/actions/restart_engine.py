"""Restart the engine's own service, if it is the agent's to restart, and see whether it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from watchtower_agent.errors import HandsOffError, IncompleteError, WatchtowerError
from watchtower_agent.model.decision import Number
from watchtower_agent.model.unit import Sign, UnitState
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.engine_unit import EngineUnit

WITHIN: Final = 180.0
"""Seconds in which the engine has to answer again: systemd gives a service that does not stop 90 of them."""
_APART: Final = 0.5
"""Seconds between two looks."""


async def restart_engine(
    unit: EngineUnit, clock: Clock, *, silent: bool, within: float = WITHIN
) -> Mapping[str, Number]:
    """Do it. Looks first: what a person stopped, or systemd is at already, is left alone.

    So is an engine that answers, where the reason was that it did not, and one to which only the way fails.

    Args:
        unit: The engine's service.
        clock: The host's clocks.
        silent: Whether it is restarted because it does not answer.
        within: Seconds in which it has to answer again.

    Raises:
        HandsOffError: It is not the agent's to restart now; nothing was asked for.
        IncompleteError: It was restarted, and does not answer.
        WatchtowerError: systemd can't be asked, or refuses.
    """
    sign = await unit.sign()
    if sign is Sign.OUT_OF_REACH:
        raise HandsOffError("the agent can't get to the engine, which says nothing of how it is: see engine.url")
    if silent and sign is Sign.ANSWERS:
        raise HandsOffError("the engine answers again")
    before = await unit.look()
    begun = clock.now()
    if why := before.hands_off(begun.monotonic):
        raise HandsOffError(why)
    await unit.restart()
    seen: UnitState | None = None
    said = ""
    while clock.now().monotonic - begun.monotonic < within:
        try:
            seen = await unit.look()
        except WatchtowerError as error:  # systemd may be slow while it is at it
            said = str(error)
        else:
            said = f"{seen.active}, {seen.sub}"
            if seen.started_since(before) and await unit.sign() is Sign.ANSWERS:
                return {"unit": before.name, "answered_after": round(clock.now().monotonic - begun.monotonic, 3)}
            if seen.has_ended():
                break
        await asyncio.sleep(_APART)
    took = clock.now().monotonic - begun.monotonic
    raise IncompleteError(
        f"{before.name} was restarted, and the engine does not answer after {took:.0f} s ({said}): "
        f"systemctl status {before.name} and journalctl -u {before.name} tell more",
        numbers={"unit": before.name, "active": None if seen is None else seen.active},
    )
