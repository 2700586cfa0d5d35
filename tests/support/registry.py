"""A registry on a loopback port, which engines take without TLS: as much of one as `docker pull` asks for."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.engine import busybox_root

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(slots=True)
class Registry:
    """What can be pulled.

    Attributes:
        port: On 127.0.0.1.
        blobs: By digest.
        manifests: Their digests, by repository and tag.
    """

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)

    def push(self, repository: str, tag: str, *, note: str, fat: int = 0, created: int = 0) -> str:
        """Put an image there, of busybox and a note that makes it another one.

        Args:
            repository: Its name.
            tag: Its tag.
            note: What no other has.
            fat: Bytes that it takes, which none has twice, instead of busybox.
            created: When it was made, by its own account: seconds of a minute.

        Returns:
            Where it is pulled from.
        """
        root = _fat_root(fat) if fat else busybox_root()
        layer = gzip.compress(root, 1, mtime=0)
        config = {
            "created": f"2026-01-01T00:00:{created:02}Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"], "Labels": {"note": note}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(root)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob("application/vnd.docker.container.image.v1+json", json.dumps(config).encode()),
            "layers": [self._blob("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        }
        described = self._blob(_MANIFEST, json.dumps(manifest).encode())
        self.manifests[repository, tag] = str(described["digest"])
        return f"127.0.0.1:{self.port}/{repository}:{tag}"

    def _blob(self, kind: str, content: bytes) -> dict[str, object]:
        digest = _digest(content)
        self.blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """An empty one."""
    found = Registry()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def _answer(self, *, with_body: bool) -> None:
            # /v2/REPOSITORY/manifests/TAG-OR-DIGEST, /v2/REPOSITORY/blobs/DIGEST
            repository, _, rest = self.path.removeprefix("/v2/").partition("/")
            kind, _, name = rest.partition("/")
            digest = found.manifests.get((repository, name), name)
            content = b"{}" if self.path == "/v2/" else found.blobs.get(digest)
            self.send_response(HTTPStatus.NOT_FOUND if content is None else HTTPStatus.OK)
            self.send_header("Content-Type", _MANIFEST if kind == "manifests" else "application/octet-stream")
            self.send_header("Docker-Content-Digest", digest)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if with_body:
                self.wfile.write(content or b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)


def _fat_root(size: int) -> bytes:
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        described = tarfile.TarInfo("fat")
        described.size = size
        tar.addfile(described, io.BytesIO(os.urandom(size)))
    return root.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
