"""The engine's own service, through systemd's `systemctl`: by argument lists, no shell, each within a bounded time.

The command rather than D-Bus: it is there wherever systemd is, and nothing more is loaded into the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from watchtower_agent.engine.translation import EngineRefusedError
from watchtower_agent.errors import PermanentError, TemporaryError, UnansweredError, WatchtowerError
from watchtower_agent.model.unit import Sign, UnitState

_PROPERTIES: Final = "LoadState,ActiveState,SubState,Job,ActiveEnterTimestampMonotonic,InvocationID"
_MAY_TAKE: Final = 10.0
"""Seconds for one question to systemd."""
_PATIENCE: Final = 1.0
"""Seconds in which a command that was killed is waited for."""
_WORDS: Final = 65_536
"""Bytes of an answer that are looked at."""
_TOLD: Final = 300
"""Characters of a complaint that are told."""
_REFUSED: Final = ("Interactive authentication required", "Access denied", "Permission denied", "Not authorized")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SystemdUnit:
    """A service of systemd that runs the engine.

    Args:
        name: Of the unit, as the settings have it: validated there.
        ping: Asks the engine for a sign of life; raises WatchtowerError where there is none.
        may_take: Seconds for one question to systemd.
    """

    def __init__(self, name: str, ping: Callable[[], Awaitable[object]], *, may_take: float = _MAY_TAKE) -> None:
        self._name = name
        self._ping = ping
        self._may_take = may_take

    async def look(self) -> UnitState:
        """How it is at this moment, and the machine with it."""
        system = _properties(await self._ask("show", "--property=SystemState"))
        unit = _properties(await self._ask("show", f"--property={_PROPERTIES}", "--", self._name))
        since = unit.get("ActiveEnterTimestampMonotonic", "")
        return UnitState(
            name=self._name,
            load=unit.get("LoadState", "not known"),
            active=unit.get("ActiveState", "not known"),
            sub=unit.get("SubState", ""),
            job=unit.get("Job", "") not in {"", "0"},
            active_since=int(since) / 1e6 if _is_number(since) and int(since) else None,
            invocation=unit.get("InvocationID", ""),
            system=system.get("SystemState", ""),
        )

    async def restart(self) -> None:
        """Have it restarted; does not wait for that."""
        await self._ask("--no-block", "restart", "--", self._name)

    async def sign(self) -> Sign:
        """What comes of asking the engine itself at this moment."""
        try:
            await asyncio.wait_for(self._ping(), self._may_take)
        except (UnansweredError, TimeoutError):
            return Sign.SILENT
        except EngineRefusedError as error:
            # Nobody listens; without a socket the address may just be wrong.
            return Sign.OUT_OF_REACH if isinstance(error.__cause__, FileNotFoundError) else Sign.SILENT
        except WatchtowerError:
            return Sign.OUT_OF_REACH
        return Sign.ANSWERS

    async def _ask(self, *arguments: str) -> str:
        """What systemctl says.

        Raises:
            PermanentError: It is not there, or refuses.
            TemporaryError: It gave no answer in time.
        """
        command = ("systemctl", "--no-ask-password", "--no-pager", *arguments)
        # Of the agent's own environment nothing else: it may hold a password.
        environment = {"PATH": os.environ.get("PATH", _PATH), "LC_ALL": "C"}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as error:
            raise PermanentError(f"systemctl can't be run, without which no service is restarted: {error}") from error
        try:
            said, complaint = await asyncio.wait_for(process.communicate(), self._may_take)
        except TimeoutError:
            what = " ".join(arguments)
            raise TemporaryError(
                f"systemctl {what} gave no answer within {self._may_take:g} s: whether systemd does it is not known"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _PATIENCE)
        if process.returncode:
            raise PermanentError(self._refusal(complaint[:_WORDS].decode(errors="replace"), process.returncode))
        return said[:_WORDS].decode(errors="replace")

    def _refusal(self, complaint: str, code: int) -> str:
        words = " ".join("".join(each if each.isprintable() else " " for each in complaint).split())[:_TOLD]
        said = words or f"exit code {code}"
        if any(each in complaint for each in _REFUSED):
            return (
                f"systemd does not let the agent restart {self._name}: {said}; "
                "the rule for polkit is missing or does not fit (docs/service.md)"
            )
        return f"systemctl refuses: {said}"


def _properties(text: str) -> Mapping[str, str]:
    """What `systemctl show` prints: a property a line."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, found, value in pairs if found}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(2**64))
