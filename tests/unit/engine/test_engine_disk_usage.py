from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.disk_usage import (
    MAX_OBJECTS,
    UnreadableError,
    cache_of,
    containers_of,
    images_of,
    mounted_images,
    network_of,
    networks_of,
    service_images,
    service_volumes,
    volumes_of,
)
from watchtower_agent.model.disk_usage import CacheRecord, Image, KeptContainer, Network, Volume

WEB, BASE = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
FRONT, BACK = "a" * 64, "b" * 64
AT = "2026-11-26T05:28:30.5Z"
SECONDS = 1_795_670_910.5


def image(**changes: object) -> dict[str, Any]:
    return {
        "Id": WEB,
        "ParentId": BASE,
        "RepoTags": ["web:1", "web:2"],
        "RepoDigests": [f"web@sha256:{'d' * 64}"],
        "Created": 1_795_670_911,
        "Size": 5000,
        "SharedSize": -1,
        "Labels": {"a": "b"},
    } | changes


def container(**changes: object) -> dict[str, Any]:
    return {
        "Id": "c" * 64,
        "Names": ["/other/alias", "/web"],
        "ImageID": WEB,
        "State": "exited",
        "Created": 1_795_670_911,
        "Labels": {"a": "b"},
        "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {"Networks": {"front": {"NetworkID": FRONT}}},
        "Mounts": [
            {"Type": "volume", "Name": "files", "Destination": "/files"},
            {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
            {"Type": "volume", "Name": "e" * 64, "Destination": "/made-up"},
        ],
    } | changes


def service(image: str, *, before: str = "", volume: str = "") -> dict[str, Any]:
    def spec(name: str) -> dict[str, Any]:
        mounts = [{"Type": "volume", "Source": volume}, {"Type": "bind", "Source": "/srv"}, {"Type": "tmpfs"}]
        return {"TaskTemplate": {"ContainerSpec": {"Image": name, "Mounts": mounts if volume else None}}}

    return {"ID": "s1", "Spec": spec(image)} | ({"PreviousSpec": spec(before)} if before else {})


NETWORKS = (Network(id=FRONT, name="front"), Network(id=BACK, name="back"))


def only_container(**changes: object) -> KeptContainer:
    (found,) = containers_of([container(**changes)], NETWORKS, {})
    return found


def test_an_image_with_what_both_answers_tell_of_it() -> None:
    usage = {"Images": [image(SharedSize=4000), image(Id="sha256:other", SharedSize=1)]}
    assert images_of([image()], usage) == (
        Image(
            id=WEB,
            parent=BASE,
            tags=("web:1", "web:2"),
            digests=(f"web@sha256:{'d' * 64}",),
            created_at=1_795_670_911.0,
            size=5000,
            shared=4000,
            labels={"a": "b"},
        ),
    )


@pytest.mark.parametrize("usage", [None, {}, {"Images": None}, {"Images": [image(SharedSize=-1)]}])
def test_what_an_image_shares_is_unknown_where_nothing_tells_it(usage: object) -> None:
    (found,) = images_of([image()], usage)
    assert found.shared is None


@pytest.mark.parametrize(
    ("changes", "tags", "digests"),
    [
        ({"RepoTags": None, "RepoDigests": None}, (), ()),
        ({"RepoTags": [], "RepoDigests": []}, (), ()),
        ({"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}, (), ()),
        ({"RepoTags": [], "RepoDigests": ["web@sha256:5"]}, (), ("web@sha256:5",)),
        # Its id as its digest: the engine keeps it in containerd, and no registry need have it.
        ({"RepoDigests": [f"web@{WEB}"]}, ("web:1", "web:2"), ()),
        # But where it has nothing else: it was pulled by that digest.
        ({"RepoTags": [], "RepoDigests": [f"web@{WEB}"]}, (), (f"web@{WEB}",)),
        ({"RepoTags": ["", 7, "web:1"], "RepoDigests": ["", 7, "web"]}, ("web:1",), ()),
    ],
)
def test_names_of_images(changes: dict[str, object], tags: tuple[str, ...], digests: tuple[str, ...]) -> None:
    (found,) = images_of([image(**changes)], {})
    assert (found.tags, found.digests, found.dangling) == (tags, digests, not tags)


def test_a_record_of_the_build_cache() -> None:
    record = {
        "ID": "r2",
        "InUse": False,
        "Shared": True,
        "Size": 3,
        "CreatedAt": "2026-11-26T05:28:29Z",
        "LastUsedAt": AT,
    }
    expected = CacheRecord(
        id="r2", parents=("r1",), size=3, used_at=SECONDS, created_at=SECONDS - 1.5, in_use=False, shared=True
    )
    for parents in ({"Parents": ["r1"]}, {" Parents": ["r1"]}, {"Parent": "r1"}, {"Parents": ["r1"], "Parent": "r1"}):
        assert cache_of({"BuildCache": [record | parents]}) == (expected,)


def test_a_record_of_which_nothing_is_told_is_in_use() -> None:
    assert cache_of({"BuildCache": [{"ID": "r1"}, {"Size": 7}, "junk"]}) == (CacheRecord(id="r1", in_use=True),)


@pytest.mark.parametrize(
    ("changes", "predefined", "swarm"),
    [
        ({}, False, False),
        *(({"Name": name}, True, False) for name in ("bridge", "host", "none", "ingress", "docker_gwbridge")),
        ({"Scope": "swarm"}, False, True),
        ({"Scope": "swarm", "Ingress": True}, True, True),
        ({"ConfigOnly": True}, False, True),
    ],
)
def test_networks(changes: dict[str, object], predefined: bool, swarm: bool) -> None:
    entry = {"Id": FRONT, "Name": "front", "Created": AT, "Scope": "local", "Labels": None} | changes
    expected = Network(
        id=FRONT, name=str(entry["Name"]), created_at=SECONDS, predefined=predefined, swarm=swarm, labels={}
    )
    assert networks_of([entry, {"Id": BACK}, {"Name": "x"}, 7]) == (expected,) == (network_of(entry),)


@pytest.mark.parametrize(
    ("name", "labels", "anonymous"),
    [
        ("files", None, False),
        ("files", {"com.docker.volume.anonymous": ""}, True),
        ("e" * 64, None, True),  # engines before 23.0 don't say it
        ("e" * 63, None, False),
        ("E" * 64, None, False),
    ],
)
def test_volumes(name: str, labels: dict[str, str] | None, anonymous: bool) -> None:
    entry = {"Name": name, "CreatedAt": AT, "Labels": labels, "UsageData": {"RefCount": 0, "Size": 12}}
    expected = Volume(name=name, created_at=SECONDS, anonymous=anonymous, size=12, labels=labels or {})
    assert volumes_of({"Volumes": [entry, {"Name": ""}, None]}) == (expected,)


@pytest.mark.parametrize("data", [None, {}, {"Size": -1}, {"Size": "1"}])
def test_a_size_that_is_not_told_is_unknown(data: object) -> None:
    (found,) = volumes_of({"Volumes": [{"Name": "files", "UsageData": data}]})
    assert found.size is None


def test_a_container_and_what_it_needs() -> None:
    usage = {"Containers": [{"Id": "c" * 64, "SizeRw": 77}]}
    assert containers_of([container()], NETWORKS, usage) == (
        KeptContainer(
            id="c" * 64,
            name="web",
            image_id=WEB,
            status="exited",
            created_at=1_795_670_911.0,
            networks=(FRONT,),
            volumes=("files", "e" * 64),
            labels={"a": "b"},
            size=77,
        ),
    )


@pytest.mark.parametrize(("usage", "size"), [({}, None), ({"Containers": [{"Id": "c" * 64}]}, 0)])
def test_an_empty_layer_is_left_out_of_an_answer(usage: object, size: int | None) -> None:
    (found,) = containers_of([container()], NETWORKS, usage)
    assert found.size == size


@pytest.mark.parametrize(
    ("endpoints", "mode", "expected"),
    [
        ({"front": {"NetworkID": ""}}, "front", (FRONT,)),  # it never ran
        ({"front": {"NetworkID": BACK}}, "front", (FRONT, BACK)),  # another one bears the name by now
        ({"front": None}, "", (FRONT,)),
        ({}, BACK, (BACK,)),
        ({}, BACK[:12], (BACK,)),
        ({"gone": {"NetworkID": "9" * 64}}, "gone", ("9" * 64,)),
        ({}, "container:c1", ()),
        (None, None, ()),
    ],
)
def test_networks_of_a_container(endpoints: object, mode: object, expected: tuple[str, ...]) -> None:
    found = only_container(NetworkSettings={"Networks": endpoints}, HostConfig={"NetworkMode": mode})
    assert found.networks == tuple(sorted(expected))


@pytest.mark.parametrize("raw", [None, {}, "x", [7], [None], [container(), "x"]])
def test_who_needs_what_is_an_error_where_it_is_not_told(raw: object) -> None:
    for parse in (lambda listing: containers_of(listing, (), {}), mounted_images, service_images, service_volumes):
        with pytest.raises(UnreadableError):
            parse(raw)


@pytest.mark.parametrize("changes", [{"Id": ""}, {"ImageID": ""}, {"ImageID": None}, {"Id": 7}])
def test_a_container_without_an_image_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(UnreadableError):
        containers_of([container(), container(**changes)], (), {})


def test_more_than_can_be_read_is_an_error() -> None:
    with pytest.raises(UnreadableError, match=str(MAX_OBJECTS)):
        service_images([{}] * (MAX_OBJECTS + 1))


def test_services_name_images_and_volumes_in_both_specifications() -> None:
    listing = [service("web:2", before="web:1", volume="files"), service("db:1@sha256:5"), {"ID": "plugin"}]
    assert service_images(listing) == {"web:1", "web:2", "db:1@sha256:5"}
    assert service_volumes(listing) == {"files"}


SINCE_1_52: dict[str, object] = {
    "ImageUsage": {"TotalCount": 1, "Items": [image(SharedSize=4000)]},
    "BuildCacheUsage": {"Items": [{"ID": "r1"}]},
    "VolumeUsage": {"Items": [{"Name": "files"}]},
    "ContainerUsage": {"Items": [{"Id": "c" * 64, "SizeRw": 77}]},
}


@pytest.mark.parametrize("former", [{}, dict.fromkeys(("Images", "BuildCache", "Volumes", "Containers"))])
def test_what_is_counted_is_elsewhere_from_api_1_52_on(former: dict[str, object]) -> None:
    usage = SINCE_1_52 | former
    assert [each.shared for each in images_of([image()], usage)] == [4000]
    assert [each.id for each in cache_of(usage)] == ["r1"]
    assert [each.name for each in volumes_of(usage)] == ["files"]
    assert [each.size for each in containers_of([container()], (), usage)] == [77]


def test_images_that_containers_mount() -> None:
    mounts = [{"Type": "image", "Name": "web:1", "Source": WEB}, {"Type": "image"}, {"Type": "bind", "Source": "/srv"}]
    assert mounted_images([container(Mounts=mounts), container()]) == {"web:1", WEB}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
KEYS = {
    *image(),
    *container(),
    *("ID", "Parents", " Parents", "Parent", "InUse", "Shared", "LastUsedAt", "CreatedAt", "Name", "Scope", "Ingress"),
    *("UsageData", "Spec", "PreviousSpec", "TaskTemplate", "ContainerSpec", "Image", "Networks", "NetworkMode"),
}
odd_entries = st.dictionaries(
    st.sampled_from(sorted(KEYS)), json_values | st.sampled_from(["web", "front", FRONT, WEB, AT]), max_size=12
)
odd_listings = st.lists(odd_entries | json_values, max_size=6) | json_values


@given(listing=odd_listings, usage=odd_listings)
def test_whatever_the_engine_says_is_read_or_refused(listing: object, usage: object) -> None:
    answer = dict.fromkeys(("Images", "BuildCache", "Volumes", "Containers"), usage)
    images, networks = images_of(listing, answer), networks_of(listing)
    for kind in (images, networks, cache_of(answer)):
        assert len({each.id for each in kind}) == len(kind)
        assert "" not in {each.id for each in kind}
    assert "" not in {each.name for each in volumes_of(answer)}
    for image in images:
        assert image.size >= 0
        assert image.shared is None or image.shared >= 0
    for parse in (lambda raw: containers_of(raw, networks, answer), mounted_images, service_images, service_volumes):
        read_or_refused(parse, listing)


def read_or_refused(parse: Callable[[object], object], raw: object) -> None:
    try:
        parse(raw)
    except UnreadableError:
        return
    assert isinstance(raw, list)


@given(
    entries=st.lists(
        st.fixed_dictionaries(
            {
                "Id": st.text(min_size=1, max_size=5),
                "ImageID": st.sampled_from([WEB, BASE]),
                "NetworkSettings": st.fixed_dictionaries(
                    {"Networks": st.dictionaries(st.sampled_from(["front", "back", FRONT, BACK[:9]]), json_values)}
                ),
                "Mounts": st.lists(st.fixed_dictionaries({"Name": st.sampled_from(["files", "logs"])}), max_size=3),
            },
            optional={"Names": json_values, "State": json_values, "Labels": json_values, "HostConfig": json_values},
        ),
        max_size=6,
    )
)
def test_nothing_that_a_container_needs_is_lost(entries: list[dict[str, Any]]) -> None:
    found = containers_of(entries, NETWORKS, {})
    assert len(found) == len(entries)
    meant = {"front": FRONT, "back": BACK, FRONT: FRONT, BACK[:9]: BACK}
    for entry, kept in zip(entries, found, strict=True):
        assert kept.image_id == entry["ImageID"]
        assert set(kept.volumes) == {mount["Name"] for mount in entry["Mounts"]}
        assert {meant[name] for name in entry["NetworkSettings"]["Networks"]} <= set(kept.networks)


def test_a_container_that_mounts_the_folder_of_a_volume_has_it() -> None:
    mounts = [
        {"Type": "volume", "Name": "named", "Source": "/var/lib/docker/volumes/named/_data"},
        {"Type": "bind", "Source": "/var/lib/docker/volumes/whole/_data"},
        {"Type": "bind", "Source": "/data/docker/volumes/part/_data/sub"},
        {"Type": "bind", "Source": "/var/lib/docker/volumes/not-it/_database"},
        {"Type": "bind", "Source": "/var/lib/docker/volumes"},
    ]
    (kept,) = containers_of([container(Mounts=mounts)], (), None)
    assert kept.volumes == ("named", "whole", "part")


def test_whose_namespaces_a_container_joins() -> None:
    config = {"NetworkMode": "container:vpn", "PidMode": "container:vpn", "IpcMode": "shareable"}
    (kept,) = containers_of([container(HostConfig=config)], (), None)
    assert kept.joins == ("vpn",)
