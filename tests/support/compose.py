"""A Compose project on a private engine."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.engine import PrivateEngine


class Compose:
    """A project of its own."""

    def __init__(self, engine: PrivateEngine, folder: Path, content: str) -> None:
        self.engine = engine
        self.file = folder / "compose.yaml"
        self.file.write_text(content)

    def __call__(self, *args: str) -> str:
        return self.engine.docker("compose", "--file", str(self.file), *args)

    def names(self) -> list[str]:
        """Of its containers, as it lists them itself."""
        return sorted(json.loads(line)["Name"] for line in self("ps", "--all", "--format=json").splitlines())
