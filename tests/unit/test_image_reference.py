from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.model.disk_usage import Image
from watchtower_agent.model.image_reference import ImageReference, means, parsed_reference

ID = f"sha256:{'1' * 64}"
DIGEST = f"sha256:{'d' * 64}"
WEB = Image(id=ID, tags=("web:1", "registry:5000/team/web:1"), digests=(f"web@{DIGEST}",))


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("web", "web", "latest", ""),
        ("web:1.2", "web", "1.2", ""),
        ("team/web:1", "team/web", "1", ""),
        ("docker.io/library/web:1", "web", "1", ""),
        ("index.docker.io/library/web", "web", "latest", ""),
        ("docker.io/team/web:1", "team/web", "1", ""),
        ("registry:5000/web", "registry:5000/web", "latest", ""),
        ("registry:5000/web:1", "registry:5000/web", "1", ""),
        (f"web@{DIGEST}", "web", "", DIGEST),
        (f"registry:5000/web:1@{DIGEST}", "registry:5000/web", "1", DIGEST),
    ],
)
def test_parts(text: str, repository: str, tag: str, digest: str) -> None:
    assert parsed_reference(text) == ImageReference(repository=repository, tag=tag, digest=digest)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (ID, True),
        ("1" * 64, True),
        ("1" * 12, True),
        ("web:1", True),
        ("docker.io/library/web:1", True),
        ("registry:5000/team/web:1", True),
        (f"web@{DIGEST}", True),
        (f"elsewhere/web@{DIGEST}", True),
        (f"web@{ID}", True),  # an engine that keeps its images in containerd
        (f"web:2@{DIGEST}", True),  # by its digest
        (f"web:1@sha256:{'e' * 64}", True),  # perhaps by its tag
        ("web", False),
        ("web:2", False),
        ("team/web:1", False),
        ("registry:5000/web:1", False),
        (f"web@sha256:{'e' * 64}", False),
        ("2" * 12, False),
        ("", False),
    ],
)
def test_which_image_is_meant(reference: str, expected: bool) -> None:
    assert means(reference, WEB) is expected


def test_no_tag_means_the_latest() -> None:
    assert means("web", Image(id=ID, tags=("web:latest",)))
    assert not means("web", Image(id=ID, tags=("web:1",)))


names = st.from_regex(r"([a-z0-9.-]{1,8}(:[0-9]{1,5})?/)?([a-z0-9]{1,8}/)?[a-z0-9]{1,8}", fullmatch=True)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,8}", fullmatch=True)


@given(name=names, tag=tags)
def test_an_image_is_meant_by_each_of_its_names(name: str, tag: str) -> None:
    image = Image(id=ID, tags=(f"{name}:{tag}",), digests=(f"{name}@{DIGEST}",))
    assert means(f"{name}:{tag}", image)
    assert means(f"{name}@{DIGEST}", image)
    assert means(f"{name}:{tag}@{DIGEST}", image)
    assert not means(f"{name}:{tag}x", image)


@given(text=st.text())
def test_whatever_is_written_is_a_reference_or_means_nothing(text: str) -> None:
    parsed = parsed_reference(text)
    assert parsed.tag or parsed.digest or "@" in text
    assert not means(text, Image(id=""))
