"""Writes down what Home Assistant's validators take, in the Python that it is installed in.

    published.py > published.json

For the three platforms that the agent uses: which keys there are, and which classes and units.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import voluptuous as vol
from homeassistant.components import binary_sensor, event, sensor
from homeassistant.components.mqtt import (
    abbreviations,
    binary_sensor as mqtt_binary_sensor,
    discovery,
    event as mqtt_event,
    schemas,
    sensor as mqtt_sensor,
)
from homeassistant.const import __version__


def keys(schema: Any) -> Iterator[Any]:  # noqa: ANN401 - voluptuous is not typed
    """Those of all mappings in a schema."""
    if isinstance(schema, vol.All):
        for part in schema.validators:
            yield from keys(part)
    elif isinstance(schema, vol.Schema):
        yield from keys(schema.schema)
    elif isinstance(schema, dict):
        yield from schema


def names(schema: Any, *, only_required: bool = False) -> list[str]:  # noqa: ANN401 - as above
    """Sorted."""
    return sorted({str(key) for key in keys(schema) if isinstance(key, vol.Required) or not only_required})


def platform(schema: Any, device_classes: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """One of them."""
    return {
        "keys": names(schema),
        "required": names(schema, only_required=True),
        "device_classes": sorted(device_classes),
        "state_classes": [],
        "units": {},
    }


of_sensors = platform(mqtt_sensor.DISCOVERY_SCHEMA, sensor.SensorDeviceClass)
of_sensors["state_classes"] = sorted(sensor.SensorStateClass)
of_sensors["units"] = {
    kind: sorted(str(unit) for unit in units if unit) for kind, units in sorted(sensor.DEVICE_CLASS_UNITS.items())
}
sys.stdout.write(
    json.dumps(
        {
            "version": __version__,
            "topic": discovery.TOPIC_MATCHER.pattern,
            "device": names(schemas.MQTT_ENTITY_DEVICE_INFO_SCHEMA),
            "origin": names(schemas.MQTT_ORIGIN_INFO_SCHEMA),
            "shared": names(schemas.DEVICE_DISCOVERY_SCHEMA),
            "abbreviated": {short: abbreviations.ABBREVIATIONS[short] for short in ("dev", "o", "cmps")},
            "platforms": {
                "binary_sensor": platform(mqtt_binary_sensor.DISCOVERY_SCHEMA, binary_sensor.BinarySensorDeviceClass),
                "event": platform(mqtt_event.DISCOVERY_SCHEMA, event.EventDeviceClass),
                "sensor": of_sensors,
            },
        },
        indent=1,
        ensure_ascii=False,
    )
    + "\n"
)
