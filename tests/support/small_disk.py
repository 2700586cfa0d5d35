"""A file system of its own for an engine: small, with an end to it."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.engine import IMAGE, PrivateEngine

MIB = 2**20


@contextlib.contextmanager
def engine_on_small_disk(size: int, *, inodes: int = 65536) -> Iterator[PrivateEngine]:
    """A private engine whose data-root is on a loop-mounted ext4.

    Args:
        size: Bytes.
        inodes: How many files there can be.
    """
    engine = PrivateEngine()
    try:
        disk, data = engine.directory / "disk.img", data_root(engine)
        with disk.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-N", str(inodes), disk], check=True, capture_output=True)
        data.mkdir()
        subprocess.run(["mount", "-o", "loop", disk, data], check=True, capture_output=True)
        engine.start()
        engine.load_image()
        yield engine
    finally:
        engine.close()


def data_root(engine: PrivateEngine) -> Path:
    """Where it keeps what it keeps."""
    return engine.directory / "data"


def used_bytes(engine: PrivateEngine) -> int:
    """Of the file system of its data-root."""
    found = os.statvfs(data_root(engine))
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def fat_image(engine: PrivateEngine, reference: str, size: int) -> str:
    """An image that takes so many bytes of its own, and holds nothing that runs.

    Returns:
        Its id, `sha256:…`.
    """
    return built_image(engine, reference, "COPY fat /fat", base="scratch", fat=size)


def imported_image(engine: PrivateEngine, reference: str, size: int) -> str:
    """The same without a build: nothing of it is in the build cache, which would keep its bytes."""
    root = engine.directory / "root.tar"
    with tarfile.open(root, "w") as tar:
        described = tarfile.TarInfo("fat")
        described.size = size
        tar.addfile(described, io.BytesIO(os.urandom(size)))
    return engine.docker("import", str(root), reference)


def built_image(engine: PrivateEngine, reference: str, *steps: str, base: str = IMAGE, fat: int = 0) -> str:
    """An image that `docker build` made.

    Args:
        engine: Which engine.
        reference: Its tag; empty for none.
        steps: What follows `FROM`.
        base: What stands there.
        fat: Bytes of the file `fat` in the build context, which none has twice.

    Returns:
        Its id, `sha256:…`.
    """
    context = engine.directory / "context"
    context.mkdir(exist_ok=True)
    (context / "fat").write_bytes(os.urandom(fat))
    (context / "Dockerfile").write_text("\n".join([f"FROM {base}", *steps, ""]))
    return engine.docker("build", "--quiet", *([f"--tag={reference}"] if reference else []), str(context))


def sweep_images(engine: PrivateEngine) -> None:
    """Delete all but the one that it brought, and the build cache."""
    for image in engine.api("GET", "/images/json"):
        if IMAGE not in (image["RepoTags"] or ()):
            engine.api("DELETE", f"/images/{image['Id']}", force="true")
    engine.api("POST", "/build/prune", all="true")


@contextlib.contextmanager
def fill(engine: PrivateEngine, share: float) -> Iterator[None]:
    """Have something else use its file system up to that share."""
    facts = os.statvfs(data_root(engine))
    total = (facts.f_blocks - facts.f_bfree + facts.f_bavail) * facts.f_frsize
    path, wanted = data_root(engine) / "filler", int(share * total) - used_bytes(engine)
    assert wanted > 0, f"{used_bytes(engine)} of {total} bytes are used already"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, wanted)
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def fill_inodes(engine: PrivateEngine, share: float) -> Iterator[None]:
    """Have files of something else, all of them empty, use the inodes of its file system up to that share."""
    facts, folder = os.statvfs(data_root(engine)), data_root(engine) / "files"
    wanted = int(share * facts.f_files) - (facts.f_files - facts.f_ffree)
    assert wanted > 0, f"{facts.f_ffree} of {facts.f_files} inodes are left already"
    folder.mkdir()
    try:
        for number in range(wanted):
            (folder / str(number)).touch()
        yield
    finally:
        shutil.rmtree(folder)


def image_of_many_files(engine: PrivateEngine, reference: str, count: int) -> str:
    """An image that takes inodes and next to no bytes; its id."""
    root = engine.directory / "root.tar"
    with tarfile.open(root, "w") as tar:
        for number in range(count):
            tar.addfile(tarfile.TarInfo(f"{reference.partition(':')[0]}-{number}"))
    return engine.docker("import", str(root), reference)


def all_tags(engine: PrivateEngine) -> set[str]:
    """Of all its images."""
    return {tag for image in engine.api("GET", "/images/json") for tag in image["RepoTags"] or ()}


@contextlib.contextmanager
def swept(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The same engine for one test, which leaves nothing but the image that it brought."""
    yield engine
    engine.sweep()
    sweep_images(engine)
