"""Home Assistant's own core and MQTT integration, in the Python that it is installed in: `run.py FOLDER BROKER_PORT`.

No user interface and none of the other integrations. What it keeps (registries, the entry of the integration) is in the
folder, as in its `config` folder, so that it can be killed and started again. Writes a line of JSON to standard output
whenever something changed: the states and attributes of all entities, the devices, and the warnings it logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys

from homeassistant import bootstrap, config_entries, core, core_config, loader, setup
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.helpers import device_registry, entity_registry

NOISE = ("asyncio", "homeassistant.loader")


class Complaints(logging.Handler):
    """What it warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one."""
        if not record.name.startswith(NOISE):
            self.texts.append(f"{record.name}: {record.getMessage()}")


def snapshot(hass: core.HomeAssistant, complaints: Complaints) -> dict[str, object]:
    """What a person would see."""
    devices = device_registry.async_get(hass).devices
    entities = entity_registry.async_get(hass).entities
    return {
        "states": {
            state.entity_id: {"state": state.state, "attributes": dict(state.attributes)}
            for state in hass.states.async_all()
        },
        "unique_ids": {entry.entity_id: entry.unique_id for entry in entities.values()},
        "devices": {
            next(iter(device.identifiers))[1]: {
                "name": device.name,
                "model": device.model,
                "via": next(iter(devices[device.via_device_id].identifiers))[1] if device.via_device_id else None,
            }
            for device in devices.values()
            if device.identifiers
        },
        "complaints": complaints.texts,
    }


async def main(folder: str, port: int) -> None:
    """Until SIGTERM."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    # The user interface, which MQTT names as needed: to upload certificates, which nobody does here.
    hass.config.components |= {"http", "file_upload"}
    await core_config.async_process_ha_core_config(hass, {})
    if hass.config_entries.async_entries("mqtt"):
        await setup.async_setup_component(hass, "mqtt", {})
    else:
        await hass.config_entries.async_add(
            config_entries.ConfigEntry(
                data={"broker": "127.0.0.1", "port": port},
                discovery_keys={},
                domain="mqtt",
                entry_id=None,
                minor_version=1,
                options={},
                source="user",
                subentries_data=[],
                title="MQTT",
                unique_id=None,
                version=2,
            )
        )
    news = asyncio.Event()
    for kind in ("state_changed", "device_registry_updated", "entity_registry_updated", EVENT_HOMEASSISTANT_STARTED):
        hass.bus.async_listen(kind, core.callback(lambda _: news.set()))
    await hass.async_start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        sys.stdout.write(json.dumps(snapshot(hass, complaints), default=str) + "\n")
        sys.stdout.flush()
        news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), 1.0)
        await asyncio.sleep(0.05)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
