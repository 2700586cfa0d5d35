"""Which version of the agent this is."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""As `pyproject.toml` has it, from which packages are built."""
