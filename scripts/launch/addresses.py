"""Where the settings in force say that engine and broker are; their mistakes are told at once.

Runs in the virtual environment, as a process of its own: `python -m scripts.launch.addresses SETTINGS`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from watchtower_agent.engine.address import resolve_address
from watchtower_agent.errors import SettingsError
from watchtower_agent.settings import load_settings


def main() -> None:
    """Print the engine's address and, on a line of its own, the broker's; that is empty where there is none."""
    try:
        settings = load_settings(Path(sys.argv[1])).settings
        print(resolve_address(settings.engine.url, None, environment=os.environ).url)
        print(settings.mqtt.url or "")
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
