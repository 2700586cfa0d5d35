"""Which image is built upon which, by layers that an engine tells of each."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, strategies as st

from tests.support.pruning import image, sha
from watchtower_agent.engine.ancestry import stacked, with_parents
from watchtower_agent.model.disk_usage import Image


def parents(layers: Mapping[str, str], *images: Image) -> dict[str, str]:
    """Name -> name of its parent; a layer is a letter."""
    names = {sha(name): name for name in layers}
    found = with_parents(
        images or [image(name, f"{name}:1") for name in layers],
        {sha(name): stacked(layers[name]) for name in layers},
    )
    return {names[each.id]: names.get(each.parent, each.parent) for each in found}


def test_an_image_is_built_upon_the_one_that_has_most_of_its_lowest_layers() -> None:
    assert parents({"base": "a", "run": "ab", "app": "abcd", "other": "xbc"}) == {
        "base": "",
        "run": "base",
        "app": "run",
        "other": "",
    }


def test_images_of_the_same_layers_are_not_built_upon_each_other() -> None:
    assert parents({"one": "ab", "two": "ab", "base": "a"}) == {"one": "base", "two": "base", "base": ""}


def test_of_several_with_the_same_layers_the_one_with_a_name_is_meant_then_the_youngest() -> None:
    layers = {"old": "a", "nameless": "a", "young": "a", "app": "ab"}
    nameless = image("nameless", created_at=9.0)
    old, young = image("old", "base:1", created_at=1.0), image("young", "base:2", created_at=2.0)
    assert parents(layers, young, nameless, image("app", "app:1"), old)["app"] == "young"


def test_what_the_engine_says_itself_comes_first_and_what_it_does_not_tell_is_not_known() -> None:
    told = image("app", "app:1", parent="told")
    assert parents({"base": "a", "told": "", "app": "ab"}, image("base", "b:1"), image("told"), told) == {
        "base": "",
        "told": "",
        "app": "told",
    }


def test_a_layer_counts_with_all_below_it() -> None:
    assert stacked("ab")[-1] != stacked("cb")[-1]
    assert stacked("abc")[:2] == stacked("ab")


@given(st.dictionaries(st.text("uvwxyz", min_size=1, max_size=3), st.text("abc", max_size=5), max_size=12))
def test_no_image_is_built_upon_itself_by_way_of_others(layers: dict[str, str]) -> None:
    found = parents(layers) if layers else {}
    for name, parent in found.items():
        if parent:
            assert layers[name].startswith(layers[parent])
            assert len(layers[parent]) < len(layers[name])
