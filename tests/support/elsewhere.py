"""What agents are to do on engines that are not this host's own at its socket, whichever these are."""

from __future__ import annotations

from typing import Final

BEGIN: Final = """
version: 1
policies:
"""
HEAL: Final = """\
  - name: heal
    select: {name: web}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
"""
REVIVE: Final = """\
  - name: revive
    select: {name: stopped}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
"""
MEASURED: Final = """\
  - name: measured
    select: {name: web}
    when: memory.working_set > 1KiB and cpu.percent >= 0%
    then: {notify: {severity: info}}
"""
"""Tells of `web` as soon as both are known."""
