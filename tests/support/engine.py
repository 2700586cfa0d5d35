"""A private Docker Engine: its own dockerd, data, socket and image, ended by pid and cleaned away afterwards."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from tests.support.bridge import Bridge
from tests.support.patience import patient

if TYPE_CHECKING:
    from tests.support.broker import TlsFiles

IMAGE = "busybox:local"
IDLE = ("sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")
"""A command that waits for ever and ends at once on TERM (a plain `sleep` as pid 1 would ignore it for 10 s)."""


class EngineFailedError(AssertionError):
    """The private engine did not do what a test needs of it."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def over_tls(files: TlsFiles, *, url: str) -> list[str]:
    """Options with which dockerd also listens there (`tcp://…`), to those whose certificate is of that authority."""
    own = [f"--tlscacert={files.ca}", f"--tlscert={files.cert}", f"--tlskey={files.key}"]
    return [f"--host={url}", "--tlsverify", *own]


class PrivateEngine:
    """One dockerd of our own. Use as a context manager, or `start()` and `close()`.

    Args:
        options: Further options of dockerd.
        inside: A command that runs what follows it: where dockerd lives when it is not to live here.
        namespace: Name of the network namespace where it lives; empty: the present one.

    Attributes:
        directory: Everything of it is in here.
        socket: Its API socket; `url` is the same as `unix://…`.
        log: What dockerd wrote.
    """

    def __init__(self, *, options: Sequence[str] = (), inside: Sequence[str] = (), namespace: str = "") -> None:
        if os.geteuid() != 0:
            raise EngineFailedError("a private Docker Engine needs root: run the tests as root")
        if shutil.which("dockerd") is None:
            raise EngineFailedError("dockerd is not installed: apt-get install docker.io docker-cli busybox-static")
        if shutil.which("ip") is None:
            raise EngineFailedError("ip is not installed: apt-get install iproute2")
        # Short, because the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="wt-engine-"))
        self.socket = self.directory / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.log = self.directory / "dockerd.log"
        self._exec_root = self.directory / "exec"
        self._options = tuple(options)
        # Not `ip netns exec`, which hides the cgroups from dockerd.
        enter = ("nsenter", f"--net=/run/netns/{namespace}") if namespace else ()
        self._inside = (*enter, *inside)
        self._namespace = namespace
        self._daemon: subprocess.Popen[bytes] | None = None
        self._bridge: Bridge | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.load_image()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The daemon's life.

    @property
    def pid(self) -> int:
        """The pid of the running dockerd."""
        if self._daemon is None or self._daemon.poll() is not None:
            raise EngineFailedError("the private engine is not running")
        return self._daemon.pid

    @property
    def running(self) -> bool:
        """Whether dockerd lives."""
        return self._daemon is not None and self._daemon.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start dockerd; by default wait until it answers."""
        (self.directory / "dockerd.pid").unlink(missing_ok=True)  # left by a kill -9, it would refuse the start
        if self._bridge is None:  # it outlives dockerd, as its containers do
            self._bridge = Bridge(self._namespace)
        with self.log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    *self._inside,
                    "dockerd",
                    f"--data-root={self.directory / 'data'}",
                    f"--exec-root={self._exec_root}",
                    f"--host={self.url}",
                    f"--pidfile={self.directory / 'dockerd.pid'}",
                    # Several engines live on one machine: none touches another's bridge or the machine's firewall.
                    f"--bridge={self._bridge.name}",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--ip-forward=false",
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_up()

    def wait_until_up(self, timeout: float = 60.0) -> None:
        """Wait until the engine answers."""
        deadline = time.monotonic() + patient(timeout)
        while time.monotonic() < deadline:
            if not self.running:
                raise EngineFailedError(f"dockerd ended:\n{self.log_tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.api("GET", "/_ping", timeout=patient(5)) == "OK":
                    return
            time.sleep(0.02)
        raise EngineFailedError(f"dockerd did not answer within {timeout:.0f} s:\n{self.log_tail()}")

    def stop(self) -> None:
        """End it as an operator would (SIGTERM): it stops its containers first."""
        if self._daemon is None:
            return
        if self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGCONT)
            self._daemon.terminate()
        try:
            self._daemon.wait(timeout=patient(30))
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9, of the containerd that it started as well: the next start would wait 10 s for that one to end.

        Containers live on, with their shims, until the next start.
        """
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
        pid_file = self._exec_root / "containerd" / "containerd.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        pid_file.unlink(missing_ok=True)  # a dead one counts as alive until someone has reaped it

    def freeze(self) -> None:
        """SIGSTOP: the socket still takes connections, nothing is ever answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it, start it and wait until it answers."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def close(self) -> None:
        """End everything that this engine started, unmount and remove what it left."""
        if self.running:
            with contextlib.suppress(EngineFailedError, OSError, http.client.HTTPException):
                self.thaw()
                self.sweep()
        self.stop()
        for pid in self._leftover_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        self._remove_bridges()
        if self._bridge is not None:
            self._bridge.remove()
        self._remove_cgroups()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _leftover_pids(self) -> list[int]:
        """Processes that were started for this engine: containerd, its shims, and the shims' children."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if os.fsencode(self._exec_root) not in (entry / "cmdline").read_bytes():
                    continue
                for task in (entry / "task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
                found.append(int(entry.name))
        return found

    def _mounts(self) -> list[str]:
        """Mount points below the engine's directory, deepest first."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
        return sorted((p for p in points if p.startswith(f"{self.directory}/")), key=len, reverse=True)

    def _remove_bridges(self) -> None:
        """Bridges of networks that a killed engine could not remove. Those of a namespace go with that."""
        if self._namespace:
            return
        store = self.directory / "data" / "network" / "files" / "local-kv.db"
        ids = re.findall(rb"bridge/([0-9a-f]{64})", store.read_bytes()) if store.exists() else []
        for bridge in {f"br-{network.decode()[:12]}" for network in ids}:
            subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)

    def _remove_cgroups(self) -> None:
        """Cgroups of containers that a killed engine could not remove. Their processes may take a moment to end."""
        containers = self.directory / "data" / "containers"
        deadline = time.monotonic() + 2
        for container in containers.iterdir() if containers.exists() else ():
            for cgroup in _cgroups(f"**/docker/{container.name}"):
                while cgroup.exists() and time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        cgroup.rmdir()
                        break
                    time.sleep(0.01)

    # What tests do with it.

    def environment(self) -> dict[str, str]:
        """An environment in which the docker CLI and Compose speak to this engine and know no other."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        return kept | {"DOCKER_HOST": self.url, "DOCKER_CONFIG": str(self.directory / "cli")}

    def docker(self, *args: str, check: bool = True, timeout: float = 120.0) -> str:
        """Run the docker CLI against this engine.

        Returns:
            Its standard output, stripped.
        """
        done = subprocess.run(
            ["docker", *args],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=patient(timeout),
            check=False,
        )
        if check and done.returncode != 0:
            raise EngineFailedError(f"docker {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def run(
        self,
        name: str,
        *command: str,
        labels: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        image: str = IMAGE,
        network: str = "none",
    ) -> str:
        """`docker run --detach`; without a command one that waits and ends at once on TERM.

        Args:
            name: The container's name.
            command: What it runs.
            labels: Its labels.
            options: Further options of `docker run` (`--health-cmd=…`, `--memory=…`).
            image: Its image.
            network: Its network; `none` starts quickest.

        Returns:
            The full id.
        """
        label_options = [f"--label={key}={value}" for key, value in (labels or {}).items()]
        container = self.docker(
            "run", "--detach", f"--name={name}", f"--network={network}", *label_options, *options, image,
            *(command or IDLE),
        )  # fmt: skip
        if signals := _trapped(command or IDLE):
            self._until_it_heeds(container, signals)
        return container

    def _until_it_heeds(self, container: str, signals: int) -> None:
        """Wait for the traps of its command: what the first process of a container does not catch yet is lost on it.

        Until it becomes the command it is the runtime's, `runc:[2:INIT]`, which catches every signal.
        """
        pid = self.api("GET", f"/containers/{container}/json")["State"]["Pid"]
        deadline = time.monotonic() + patient(30)
        while time.monotonic() < deadline:
            try:
                status = Path(f"/proc/{pid}/status").read_text() if pid else ""
            except (FileNotFoundError, ProcessLookupError):
                return  # it has ended
            masks = re.findall(r"^Sig(?:Cgt|Ign):\s*([0-9a-f]+)$", status, re.MULTILINE)
            heeded = reduce(or_, (int(mask, 16) for mask in masks), 0)
            if not masks or ("\trunc:" not in status and heeded & signals == signals):
                return
            time.sleep(0.005)
        raise EngineFailedError(f"{container} does not trap all that its command says")

    def api(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float = 60.0,
        connection: UnixConnection | None = None,
        **query: str,
    ) -> Any:  # noqa: ANN401 - the engine's JSON, whatever it is
        """One call of the engine's HTTP API, quicker than the CLI by far. JSON is parsed.

        Args:
            method: `GET`, `POST`, `DELETE`.
            path: As in the engine's API reference, without a version.
            body: JSON to send.
            timeout: Seconds.
            connection: One that is kept between calls (storms); else a new one.
            query: Parameters of the query string.
        """
        own = connection or UnixConnection(self.socket, patient(timeout))
        try:
            target = quote(path, safe="/:%") + (f"?{urlencode(query)}" if query else "")
            payload = None if body is None else json.dumps(body)
            own.request(method, target, body=payload, headers={"Content-Type": "application/json"} if payload else {})
            response = own.getresponse()
            text = response.read().decode()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise EngineFailedError(f"{method} {path}: {response.status}: {text.strip()}")
            return json.loads(text) if "json" in response.headers.get("Content-Type", "") and text else text
        finally:
            if connection is None:
                own.close()

    def load_image(self, reference: str = IMAGE) -> None:
        """Import an image made on the fly from this machine's static busybox."""
        archive = self.directory / "busybox.tar"
        archive.write_bytes(busybox_root())
        self.docker("import", "--change=ENV PATH=/bin", '--change=CMD ["sh"]', str(archive), reference)
        archive.unlink()

    def sweep(self) -> None:
        """Remove every container, and every network and volume that the engine did not bring itself."""
        for container in self.api("GET", "/containers/json", all="true"):
            with contextlib.suppress(EngineFailedError):  # gone meanwhile, or being removed
                self.api("DELETE", f"/containers/{container['Id']}", force="true", v="true")
        for network in self.api("GET", "/networks"):
            if network["Name"] not in {"bridge", "host", "none", "docker_gwbridge", "ingress"}:
                with contextlib.suppress(EngineFailedError):
                    self.api("DELETE", f"/networks/{network['Id']}")
        for volume in self.api("GET", "/volumes")["Volumes"] or ():
            with contextlib.suppress(EngineFailedError):
                self.api("DELETE", f"/volumes/{volume['Name']}", force="true")


def _trapped(command: Sequence[str]) -> int:
    """The signals that a shell's command traps, as the bits of `/proc/<pid>/status`."""
    names = " ".join(re.findall(r"\btrap (?:'[^']*'|:) ((?:[A-Z]+[0-9]? ?)+)", " ".join(command))).split()
    return reduce(or_, (1 << (signal.Signals[f"SIG{name}"] - 1) for name in names), 0)


def _cgroups(pattern: str) -> list[Path]:
    while True:
        with contextlib.suppress(FileNotFoundError):  # somebody else's went away while it was walked through
            return list(Path("/sys/fs/cgroup").glob(pattern))


def busybox_root() -> bytes:
    """A root file system as a tar: the static busybox and a link for each of its applets."""
    binary = shutil.which("busybox")
    if binary is None:
        raise EngineFailedError("busybox is not installed: apt-get install busybox-static")
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    content = Path(binary).read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "tmp", "etc", "proc", "sys", "dev"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        info = tarfile.TarInfo("bin/busybox")
        info.size, info.mode = len(content), 0o755
        tar.addfile(info, io.BytesIO(content))
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
        passwd = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        info = tarfile.TarInfo("etc/passwd")
        info.size, info.mode = len(passwd), 0o644
        tar.addfile(info, io.BytesIO(passwd))
    return buffer.getvalue()
