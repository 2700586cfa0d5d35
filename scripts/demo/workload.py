"""The demo's containers and their image on an engine: made, and removed again whatever happens in between."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import docker

from scripts.demo.troubles import NAMES, TROUBLES, Trouble

LABEL: Final = "watchtower-agent.demo"


class NameTakenError(Exception):
    """Somebody else's container has a name that the demo needs; the text says which and what to do."""


class Workload:
    """What the demo makes on whatever engine DOCKER_HOST names. Touches nothing else there. Calls block."""

    def __init__(self, busybox: Path) -> None:
        """Make nothing yet.

        Args:
            busybox: A busybox that needs no libraries: the image is made of it.
        """
        self._busybox = busybox
        self._run = secrets.token_hex(4)
        self._image = f"watchtower-agent-demo:{self._run}"
        self._ended = threading.Event()
        self._turn = threading.Lock()

    def look(self) -> None:
        """Look whether its names are free.

        Raises:
            NameTakenError: They aren't.
        """
        with _engine() as api:
            there = [c for c in api.containers(all=True) if LABEL not in c["Labels"]]
        taken = sorted(NAMES & {name.removeprefix("/") for container in there for name in container["Names"] or ()})
        if not taken:
            return
        what = f"a container named {taken[0]}" if len(taken) == 1 else f"containers named {', '.join(taken)}"
        renames = "; ".join(f"docker rename {name} my-{name}" for name in taken)
        raise NameTakenError(
            f"the engine has {what} already, and the demo, which needs the name, leaves alone what is not its own. "
            f"Give yours another name ({renames}) or remove it, and start the demo again"
        )

    def start(self) -> None:
        """Make the image and start the containers; leave off as soon as `remove` is called."""
        with self._turn, _engine() as api:
            self._remove(api, {"label": [f"{LABEL}=true"]})  # an earlier demo that was killed could not clean up
            if not self._ended.is_set():
                api.import_image_from_data(_root_file_system(self._busybox), *self._image.split(":"))
            for trouble in TROUBLES:
                if self._ended.is_set():
                    return
                self._start(api, trouble)

    def remove(self) -> None:
        """Remove what `start` made, or was making when somebody lost patience."""
        self._ended.set()
        with self._turn, _engine() as api:
            self._remove(api, {"label": [f"{LABEL}.run={self._run}"]})
            with contextlib.suppress(docker.errors.ImageNotFound):
                api.remove_image(self._image, force=True)

    def _start(self, api: Any, trouble: Trouble) -> None:  # noqa: ANN401 - the library has no types
        container = api.create_container(
            self._image,
            ["/bin/sh", "-c", trouble.script],
            name=trouble.name,
            environment={"PATH": "/bin"},
            labels={LABEL: "true", f"{LABEL}.run": self._run},
            healthcheck=trouble.healthcheck,
            host_config={"NetworkMode": "none", **trouble.options},
        )
        api.start(container["Id"])

    def _remove(self, api: Any, filters: Mapping[str, list[str]]) -> None:  # noqa: ANN401 - the library has no types
        for container in api.containers(all=True, filters=filters):
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_container(container["Id"], force=True, v=True)


def _engine() -> contextlib.closing[Any]:
    return contextlib.closing(docker.from_env(timeout=30).api)


def _root_file_system(busybox: Path) -> bytes:
    """An image's content as a tar: one static program under the names that the scripts call."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(busybox, "bin/busybox")
        for applet in ("rm", "sh", "sleep", "test", "touch", "["):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return buffer.getvalue()
