"""A stand-in for `systemctl`: it answers as the test has it, and keeps what it was asked."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

_PROGRAM: Final = """#!/bin/sh
cd {folder} || exit 9
printf '%s\\n' "$*" >> asked
case "$*" in
  *SystemState*) cat system ;;
  *ActiveState*) cat unit ;;
  *restart*) exec ./restart "$@" ;;
esac
"""


class Systemctl:
    """A folder with the program, for the front of a PATH.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says(invocation="a")
        (folder / "system").write_text("SystemState=running\n")
        self._program("systemctl", _PROGRAM.format(folder=shlex.quote(str(folder))))
        self.on_restart("exit 0")

    @property
    def path(self) -> str:
        """A PATH on which it comes first."""
        return f"{self.folder}:{os.environ['PATH']}"

    @property
    def asked(self) -> list[str]:
        """The arguments of each call."""
        known = self.folder / "asked"
        return known.read_text().splitlines() if known.exists() else []

    @property
    def restarts(self) -> list[str]:
        """The arguments of each call that asked for a restart."""
        return [each for each in self.asked if " restart " in each]

    def says(
        self,
        *,
        active: str = "active",
        sub: str = "running",
        load: str = "loaded",
        since: float = 1.0,
        invocation: str = "",
        job: int | None = None,
    ) -> None:
        """From now on the unit is like that; whole at once, since it may be read meanwhile."""
        lines = [f"LoadState={load}", f"ActiveState={active}", f"SubState={sub}", f"InvocationID={invocation}"]
        lines.append(f"ActiveEnterTimestampMonotonic={since * 1e6:.0f}")
        lines += [] if job is None else [f"Job={job}"]
        draft = self.folder / "unit.new"
        draft.write_text("\n".join(lines) + "\n")
        draft.rename(self.folder / "unit")

    def system(self, state: str) -> None:
        """The machine is like that."""
        (self.folder / "system").write_text(f"SystemState={state}\n")

    def on_restart(self, script: str) -> None:
        """What a restart does: shell."""
        self._program("restart", f"#!/bin/sh\n{script}\n")

    def always(self, script: str) -> None:
        """Whatever it is asked, it does that: shell."""
        self._program("systemctl", f"#!/bin/sh\n{script}\n")

    def _program(self, name: str, text: str) -> None:
        draft = self.folder / f"{name}.new"
        draft.write_text(text)
        draft.chmod(0o755)
        draft.rename(self.folder / name)
