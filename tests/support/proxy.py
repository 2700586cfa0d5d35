"""A unix-socket proxy before an engine: it records every request and breaks what a test wants broken.

Threads, one pair per connection: it adds about 0.1 ms to a call. Benchmarks run it in a process of its own
(`python -m tests.support.proxy LISTEN UPSTREAM`), where each request becomes one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from tests.support.patience import patient
from watchtower_agent.engine.endpoints import Need, endpoint_of

BLOCK = 65536
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Request:
    """One HTTP request that passed.

    Attributes:
        method: `GET`, `POST`, …
        path: Without the API version and the query.
        target: As it stood in the request line.
        wall: time.time() when its head was complete.
        monotonic: time.monotonic() of the same moment.
        answered: time.monotonic() of the first byte of the answer, None before.
        forbidden: It was answered with status 403, and not passed on.
    """

    method: str
    path: str
    target: str
    wall: float
    monotonic: float
    answered: float | None = None
    forbidden: bool = False


@dataclass(slots=True)
class Rule:
    """What happens to requests that match, until `release()`.

    Attributes:
        method: `*` for any.
        pattern: A glob over the path without version: `/containers/*/restart`.
        action: `hold` (kept back until released), `delay`, `refuse` (connection closed, no answer), `forbid` (the
            same after an answer of status 403) or `blackhole` (taken, never answered).
        seconds: Of a delay.
        hits: How many matched.
    """

    method: str
    pattern: str
    action: str
    seconds: float = 0.0
    hits: int = 0
    _seen: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def matches(self, request: Request) -> bool:
        """Whether it applies."""
        return (
            not self._released.is_set()
            and self.method in {"*", request.method}
            and fnmatch.fnmatchcase(request.path, self.pattern)
        )

    def hit(self) -> None:
        """Count one; who waits for it goes on."""
        self.hits += 1
        self._seen.set()

    def wait(self, timeout: float = 10.0) -> None:
        """Wait until a request has matched."""
        assert self._seen.wait(patient(timeout)), f"no {self.method} {self.pattern} within {timeout} s"

    def wait_released(self) -> None:
        """Wait for `release`."""
        self._released.wait()

    def release(self) -> None:
        """Let held requests pass; the rule applies to no further request."""
        self._released.set()


class EngineProxy:
    """The proxy. Use as a context manager.

    Args:
        upstream: The engine's socket.
        listen: Where it listens; None: somewhere of its own.
        on_request: Told each request that passes.
        needs: It lets through what the agent needs for these, and nothing else.

    Attributes:
        socket: Where it listens; `url` is the same as `unix://…`.
        requests: Everything that passed, in order.
        out_of_bounds: Requests that did not pass, since the agent says of itself that it makes none like these.
    """

    def __init__(
        self,
        upstream: Path,
        *,
        listen: Path | None = None,
        on_request: Callable[[Request], None] | None = None,
        needs: frozenset[Need] = frozenset(Need),
    ) -> None:
        self._needs = needs
        self.out_of_bounds: list[str] = []
        self._upstream = upstream
        self._directory = Path(tempfile.mkdtemp(prefix="wt-proxy-"))
        self.socket = listen or self._directory / "proxy.sock"
        self.url = f"unix://{self.socket}"
        self.requests: list[Request] = []
        self._on_request = on_request
        self._rules: list[Rule] = []
        self._lost_events: list[bytes] = []
        self._lost_answers: list[str] = []
        self._late = 0.0
        self._connections: set[_Connection] = set()
        self._state = threading.Condition()
        self._frozen: set[str] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Faults.

    def listen(self) -> None:
        """Take connections (again)."""
        self.socket.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(os.fspath(self.socket))
        self._listener.listen(128)
        self._start(partial(self._accept, self._listener))

    def refuse(self) -> None:
        """From now on connections are refused, and those that exist are cut."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self, pattern: str = "*") -> int:
        """Cut the connections whose last request's path matches the glob.

        Returns:
            How many.
        """
        with self._state:
            chosen = [c for c in self._connections if c.request is None or fnmatch.fnmatchcase(c.request.path, pattern)]
        for connection in chosen:
            connection.close()
        return len(chosen)

    def freeze(self, pattern: str = "*") -> None:
        """Half-open: connections stay, nothing more passes in either direction where the last path matches."""
        with self._state:
            self._frozen.add(pattern)

    def thaw(self) -> None:
        """End every `freeze`; what was kept back passes now."""
        with self._state:
            self._frozen.clear()
            self._state.notify_all()

    def hold(self, method: str, pattern: str) -> Rule:
        """Keep matching requests back until `release()` of what is returned."""
        return self._rule(Rule(method=method, pattern=pattern, action="hold"))

    def delay(self, method: str, pattern: str, seconds: float) -> Rule:
        """Pass matching requests on only after a while."""
        return self._rule(Rule(method=method, pattern=pattern, action="delay", seconds=seconds))

    def reject(self, method: str, pattern: str) -> Rule:
        """Close the connection on matching requests, without an answer."""
        return self._rule(Rule(method=method, pattern=pattern, action="refuse"))

    def forbid(self, method: str, pattern: str) -> Rule:
        """Answer matching requests with status 403, as a proxy does that lets only some through."""
        return self._rule(Rule(method=method, pattern=pattern, action="forbid"))

    def blackhole(self, method: str, pattern: str) -> Rule:
        """Swallow matching requests: never an answer."""
        return self._rule(Rule(method=method, pattern=pattern, action="blackhole"))

    def lose_events(self, needle: bytes) -> None:
        """Leave events that contain these bytes out of live streams (`/events` without `until`)."""
        self._lost_events.append(needle)

    def delay_events(self, seconds: float) -> None:
        """Let events of live streams arrive late by so much. Audits (`/events` with `until`) are not late."""
        self._late = seconds

    def lose_answers(self, pattern: str) -> None:
        """Pass matching requests on, and none of the bytes that answer them."""
        self._lost_answers.append(pattern)

    # What was seen.

    def seen(self, method: str, pattern: str, *, since: int = 0) -> list[Request]:
        """The recorded requests that match the glob, but for the first so many of all."""
        return [r for r in self.requests[since:] if method in {"*", r.method} and fnmatch.fnmatchcase(r.path, pattern)]

    def wait_seen(
        self, method: str, pattern: str, count: int = 1, timeout: float = 10.0, *, since: int = 0
    ) -> list[Request]:
        """Wait until that many matching requests have passed."""
        with self._state:
            done = self._state.wait_for(lambda: len(self.seen(method, pattern, since=since)) >= count, patient(timeout))
        found = self.seen(method, pattern, since=since)
        assert done, f"{len(found)} of {count} {method} {pattern} within {timeout} s"
        return found

    def close(self) -> None:
        """End it, with every connection."""
        for rule in self._rules:
            rule.release()
        self.thaw()
        self.refuse()
        for thread in self._threads:
            thread.join(timeout=5)
        self.socket.unlink(missing_ok=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    # How it works.

    def _rule(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="engine-proxy", daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                upstream.connect(os.fspath(self._upstream))
            except OSError:
                upstream.close()
                client.close()
                continue
            connection = _Connection(proxy=self, client=client, upstream=upstream)
            with self._state:
                self._connections.add(connection)
            self._start(connection.requests)
            self._start(connection.answers)

    def forget(self, connection: _Connection) -> None:
        """A connection ended."""
        with self._state:
            self._connections.discard(connection)

    def admit(self, request: Request) -> bool:
        """Record a request and apply the rules.

        Returns:
            False when its connection is to be closed.
        """
        with self._state:
            self.requests.append(request)
            self._state.notify_all()
        endpoint = endpoint_of(request.method, request.path)
        if endpoint is None or self._needs.isdisjoint(endpoint.needs):
            self.out_of_bounds.append(f"{request.method} {request.path}")
            return False
        if self._on_request is not None:
            self._on_request(request)
        for rule in self._rules:
            if not rule.matches(request):
                continue
            rule.hit()
            if rule.action == "delay":
                time.sleep(rule.seconds)
            elif rule.action in {"refuse", "forbid"}:
                request.forbidden = rule.action == "forbid"
                return False
            else:
                rule.wait_released()
                return rule.action == "hold"
        return True

    def wait_thawed(self, request: Request | None) -> None:
        """Wait while traffic of this request is frozen."""
        path = request.path if request is not None else "/"
        with self._state:
            self._state.wait_for(lambda: not any(fnmatch.fnmatchcase(path, p) for p in self._frozen))

    @property
    def is_late(self) -> bool:
        """Whether events of live streams arrive late."""
        return self._late > 0

    def wait_late(self) -> None:
        """Keep an event back for as long as `delay_events` says."""
        time.sleep(self._late)

    def loses_answer(self, request: Request | None) -> bool:
        """Whether the answer to this request is to be lost."""
        return request is not None and any(fnmatch.fnmatchcase(request.path, p) for p in self._lost_answers)

    def loses(self, chunk: bytes) -> bool:
        """Whether an event is to be left out of live streams."""
        return any(needle in chunk for needle in self._lost_events)

    @property
    def loses_any(self) -> bool:
        """Whether any event is to be left out."""
        return bool(self._lost_events)


class _Connection:
    """One client connection with its connection to the engine."""

    def __init__(self, *, proxy: EngineProxy, client: socket.socket, upstream: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream = upstream
        self._lock = threading.Lock()
        self._ends = 0
        self.request: Request | None = None

    def close(self) -> None:
        """End both directions; the descriptors are closed by the threads that read from them."""
        for end in (self._client, self._upstream):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        self.close()
        with self._lock:
            self._ends += 1
            last = self._ends == 2
        if last:
            self._client.close()
            self._upstream.close()
            self._proxy.forget(self)

    def requests(self) -> None:
        """Client to engine."""
        with contextlib.suppress(OSError):
            self._forward_requests()
        self._end()

    def _forward_requests(self) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                block = self._client.recv(BLOCK)
                if not block:
                    return
                buffer += block
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            self.request = _parse(head)
            if not self._proxy.admit(self.request):
                if self.request.forbidden:
                    self._client.sendall(_FORBIDDEN)
                return
            self._proxy.wait_thawed(self.request)
            length = _header(head, b"content-length")
            need = int(length) if length else 0
            while len(buffer) < need:
                block = self._client.recv(BLOCK)
                if not block:
                    return
                buffer += block
            self._upstream.sendall(head + b"\r\n\r\n" + buffer[:need])
            buffer = buffer[need:]
            if _header(head, b"upgrade") or _header(head, b"transfer-encoding"):
                # A hijacked or chunked stream: the rest of this connection passes unread.
                self._upstream.sendall(buffer)
                for block in _blocks(self._client):
                    self._upstream.sendall(block)
                return

    def answers(self) -> None:
        """Engine to client."""
        with contextlib.suppress(OSError):
            self._forward_answers()
        self._end()

    def _forward_answers(self) -> None:
        pending = b""
        for block in _blocks(self._upstream):
            request = self.request
            if request is not None and request.answered is None:
                request.answered = time.monotonic()
            self._proxy.wait_thawed(request)
            if self._proxy.loses_answer(request):
                continue
            live = request is not None and request.path == "/events" and "until=" not in request.target
            if live and self._proxy.is_late:
                head, _, events = block.partition(b"\r\n\r\n") if block.startswith(b"HTTP/1.") else (b"", b"", block)
                if head:
                    self._client.sendall(head + b"\r\n\r\n")
                    block = events  # noqa: PLW2901 - its head has been passed on
                if events:
                    self._proxy.wait_late()
            if self._proxy.loses_any and live:
                kept, pending = self._without_lost(pending + block)
                self._client.sendall(kept)
            else:
                self._client.sendall(block)

    def _without_lost(self, data: bytes) -> tuple[bytes, bytes]:
        """Chunks of a chunked answer without those that are to be lost, and the incomplete rest."""
        kept = b""
        while match := re.match(rb"(HTTP/1.*?\r\n\r\n)|([0-9a-fA-F]+)\r\n", data, re.DOTALL):
            size = match.end() + (int(match[2], 16) + 2 if match[2] else 0)
            if len(data) < size:
                break
            if not (match[2] and self._proxy.loses(data[:size])):
                kept += data[:size]
            data = data[size:]
        return kept, data


def _blocks(source: socket.socket) -> Iterator[bytes]:
    while block := source.recv(BLOCK):
        yield block


def _parse(head: bytes) -> Request:
    method, target = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
    path = re.sub(r"^/v\d+\.\d+(?=/)", "", target.split("?", 1)[0])
    return Request(method=method, path=path, target=target, wall=time.time(), monotonic=time.monotonic())


def _header(head: bytes, name: bytes) -> bytes:
    match = re.search(rb"\r\n" + name + rb":\s*([^\r\n]*)", head, re.IGNORECASE)
    return match[1].strip() if match else b""


def main() -> None:
    """Run until standard input ends, a line of JSON per request on standard output."""

    def show(request: Request) -> None:
        line = {"method": request.method, "path": request.path, "wall": request.wall, "monotonic": request.monotonic}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    listen, upstream = Path(sys.argv[1]), Path(sys.argv[2])
    with EngineProxy(upstream, listen=listen, on_request=show):
        sys.stdin.read()


if __name__ == "__main__":
    main()
