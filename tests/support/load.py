"""CPU load of containers at a level that a test chooses, and that takes little of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_WORK: Final = """
trap 'kill -9 $busy; exit 0' TERM
(while :; do :; done) & busy=$!
kill -STOP $busy
while :; do
  read -r level < /load/level
  # a container that has used up its limit gets the word to stop a tenth of a second late
  on=$((level >= 100 ? 100 : level > 10 ? level - 10 : 0))
  if [ $on -gt 0 ]; then kill -CONT $busy; usleep $((on * 10000)); kill -STOP $busy; fi
  usleep $(((100 - on) * 10000))
done
"""
WORK: Final = ("sh", "-c", _WORK)
"""A command that uses CPU for as much of each second as the file `/load/level` says, in percent."""


class Load:
    """The level of all containers that look at it.

    Args:
        directory: One of its own; containers have it as `/load`.
        cores: What each of them may use at most: the load is a share of this.
    """

    def __init__(self, directory: Path, *, cores: float = 0.1) -> None:
        self.cores = cores
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.level(0)

    def level(self, percent: float) -> None:
        """From the next second on each of them uses that much of its limit, within some percent."""
        draft = self.directory / "level.new"
        draft.write_text(f"{percent:.0f}\n")
        draft.rename(self.directory / "level")

    @property
    def mounts(self) -> list[dict[str, object]]:
        """Of a service's `ContainerSpec`."""
        return [{"Type": "bind", "Source": str(self.directory), "Target": "/load", "ReadOnly": True}]
