"""`watchtower-agent`, also as `python -m watchtower_agent`."""

from __future__ import annotations

import sys

from watchtower_agent.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
