"""Where in the cgroup tree a container's cgroup is."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from watchtower_agent.collectors.cgroup_tree import CgroupTree
from watchtower_agent.collectors.files import is_directory, read_once
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.sample import SampleTarget
from watchtower_agent.model.values import dataclass

WALK_DEPTH = 10
WALK_DIRECTORIES = 10_000
LEARNED = 16

_FULL_ID = re.compile(r"[0-9a-f]{64}")
_SYSTEMD_NAMES = ("docker-{}.scope", "libpod-{}.scope")
_MONITOR = "conmon"
"""In the name of the cgroup, beside podman's container, of the process that watches it."""
_BARE_NAMES = ("{}", *_SYSTEMD_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A rule for the path of a container's cgroup below its hierarchy.

    Attributes:
        parent: The directory that holds the containers, relative to the hierarchy.
        name: The container's own directory, `{}` standing for its full id.
    """

    parent: str
    name: str

    def path(self, container_id: str) -> str:
        """The path of one container's cgroup, relative to the hierarchy."""
        return f"{self.parent}/{self.name}".lstrip("/").replace("{}", container_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The directories of one container's cgroup; empty where a hierarchy has none for it.

    Attributes:
        accounting: That of CPU time: v1 `cpuacct`, or v2.
        cpu: v1 `cpu`.
        cpuset: v1 `cpuset`.
        memory: v1 `memory`, or v2.
        blkio: v1 `blkio`.
        pids: v1 `pids`.
        unified: v2, on a hybrid host too, where it has pressure alone.
        hidden: Those of `cpu` and `memory` whose v1 hierarchy is there and shows no cgroup of it: it is outside of what
            the agent can see.
    """

    accounting: str
    cpu: str = ""
    cpuset: str = ""
    memory: str = ""
    blkio: str = ""
    pids: str = ""
    unified: str = ""
    hidden: tuple[str, ...] = ()


class Locator:
    """Finds cgroups: by the main process where its pid is known, else by rule, else by one walk through the tree.

    A rule that held once is tried first from then on, so that a walk for one container finds its neighbours too.
    """

    def __init__(self, *, tree: CgroupTree, proc_root: str) -> None:
        self._tree = tree
        self._proc_root = proc_root
        self._learned: deque[Layout] = deque(maxlen=LEARNED)
        self._standard = tuple(_standard_layouts(tree.accounting))

    @property
    def knows_the_rule(self) -> bool:
        """Whether a container was ever found: then one that is not has most likely ended."""
        return bool(self._learned)

    def find(self, target: SampleTarget) -> Place | None:
        """Its cgroup, without a search; None when it is not where it could be."""
        container_id = target.container_id
        if not _FULL_ID.fullmatch(container_id):
            return None
        return self._by_process(target) or self._by_rule(target)

    def search(self, container_ids: frozenset[str]) -> bool:
        """Walk through the tree once, bounded in depth and number, and learn the rules by which these could be found.

        Returns:
            Whether any of them was found.
        """
        wanted = set(container_ids)
        queue = deque([("", 0)])
        for _ in range(WALK_DIRECTORIES):
            if not queue or not wanted:
                break
            parent, depth = queue.popleft()
            for name in _subdirectories(f"{self._tree.accounting}/{parent}"):
                found = _FULL_ID.search(name)
                if found and found[0] in wanted and _MONITOR not in name:
                    wanted.discard(found[0])
                    self._learn(Layout(parent=parent, name=name.replace(found[0], "{}", 1)))
                elif depth < WALK_DEPTH:
                    queue.append((f"{parent}/{name}".lstrip("/"), depth + 1))
        return len(wanted) < len(container_ids)

    def process_is(self, target: SampleTarget) -> bool:
        """Whether the process with the target's pid belongs to the container, and to no other that got the pid."""
        paths = self._process_lines(target)
        return any(target.container_id in component for _, path in paths for component in path.split("/"))

    def _by_process(self, target: SampleTarget) -> Place | None:
        paths = self._process_paths(target)
        return self._place(paths.get("cpuacct", "") if "cpuacct" in self._tree.v1 else paths.get("", ""), paths)

    def _process_paths(self, target: SampleTarget) -> dict[str, str]:
        """Controller -> path of its cgroup, by the main process; empty without one or where it is another's by now."""
        paths: dict[str, str] = {}
        for controllers, path in self._process_lines(target):
            cut = _cut(path, target.container_id)
            if cut:
                paths.update(dict.fromkeys(controllers.split(","), cut))
        return paths

    def _process_lines(self, target: SampleTarget) -> list[tuple[str, str]]:
        """Controllers and path of each line of `/proc/PID/cgroup`; none without a process."""
        if target.pid <= 0:
            return []
        try:
            data = read_once(f"{self._proc_root}/{target.pid}/cgroup", 8192)
        except PermanentError:
            return []  # the process has ended, or /proc shows another machine's processes
        lines = [line.split(":", 2) for line in data.decode("utf-8", "replace").splitlines()]
        return [(words[1], words[2]) for words in lines if len(words) == 3]  # noqa: PLR2004 - number, controllers, path

    def _by_rule(self, target: SampleTarget) -> Place | None:
        for layout in (*self._learned, *_parent_layouts(target.cgroup_parent), *self._standard):
            place = self._place(layout.path(target.container_id), {})
            if place:
                self._learn(layout)
                return place
        return None

    def _place(self, path: str, others: dict[str, str]) -> Place | None:
        accounting = _existing(self._tree.accounting, path)
        if not accounting:
            return None
        tree = self._tree
        cpu = _existing(tree.v1.get("cpu", ""), others.get("cpu", path))
        memory = _existing(tree.memory, others.get("memory" if "memory" in tree.v1 else "", path))
        return Place(
            accounting=accounting,
            hidden=tuple(name for name, found in (("cpu", cpu), ("memory", memory)) if name in tree.v1 and not found),
            cpu=cpu,
            cpuset=_existing(tree.v1.get("cpuset", ""), others.get("cpuset", path)),
            memory=memory,
            blkio=_existing(tree.v1.get("blkio", ""), others.get("blkio", path)),
            pids=_existing(tree.v1.get("pids", ""), others.get("pids", path)),
            unified=_existing(tree.unified, others.get("", path)),
        )

    def _learn(self, layout: Layout) -> None:
        if self._learned and self._learned[0] == layout:
            return
        if layout in self._learned:
            self._learned.remove(layout)
        self._learned.appendleft(layout)


def _existing(hierarchy: str, path: str) -> str:
    if not hierarchy or not path:
        return ""
    directory = f"{hierarchy}/{path}"
    return directory if is_directory(directory) else ""


def _cut(path: str, container_id: str) -> str:
    """A process's path up to the component with the container's full id; empty without one.

    That component is the guard against a pid that belongs to another process by now.
    """
    components = path.strip("/").split("/")
    if ".." in components:
        return ""  # outside our cgroup namespace: not visible below our root
    for index, component in enumerate(components):
        if container_id in component:
            return "/".join(components[: index + 1])
    return ""


def _standard_layouts(hierarchy: str) -> Iterator[Layout]:
    yield Layout(parent="docker", name="{}")
    yield Layout(parent="system.slice", name="docker-{}.scope")
    yield Layout(parent="machine.slice", name="libpod-{}.scope")
    yield Layout(parent="libpod_parent", name="libpod-{}")
    for service in sorted(Path(hierarchy).glob("user.slice/user-*.slice/user@*.service")):  # rootless engines
        below = service.relative_to(hierarchy)
        for name in _SYSTEMD_NAMES:
            yield Layout(parent=f"{below}/user.slice", name=name)


def _parent_layouts(cgroup_parent: str) -> Iterator[Layout]:
    """The rules that a container's own `CgroupParent` allows: a path (cgroupfs) or a slice (systemd)."""
    parent = cgroup_parent.strip("/")
    if not parent or ".." in parent.split("/") or "\0" in parent:
        return
    if parent.endswith(".slice") and "/" not in parent:
        # systemd nests by dashes: a-b.slice is a.slice/a-b.slice (systemd.slice(5))
        words = parent.removesuffix(".slice").split("-")
        parent = "/".join("-".join(words[: count + 1]) + ".slice" for count in range(len(words)))
    for name in _BARE_NAMES:
        yield Layout(parent=parent, name=name)


def _subdirectories(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []  # ended meanwhile, or closed to us: what is in it is not found
