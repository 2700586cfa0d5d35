"""The agent's own configuration: what can be set, and where it is read from."""

from watchtower_agent.settings.loading import LoadedSettings, load_settings, with_host
from watchtower_agent.settings.model import Settings, settings_digest

__all__ = ["LoadedSettings", "Settings", "load_settings", "settings_digest", "with_host"]
