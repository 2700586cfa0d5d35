"""Which image is built upon which, by layers that an engine tells of each."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from tests.support.pruning import image, sha
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.ancestry import Ancestry, stacked, with_parents
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.translation import EngineRefusedError, EngineTimeoutError
from watchtower_agent.errors import AbsentError, PermanentError, TemporaryError, WatchtowerError
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


class Answers(EngineCalls):
    """Tells the layers of images, but for those of which it has an error.

    Attributes:
        errors: Name of an image -> what it answers of it.
        asked: Names of images, in order.
    """

    def __init__(self, layers: Mapping[str, str]) -> None:
        super().__init__(EngineAddress(url="unix:///nowhere", source="test"), clock=SystemClock())
        self.layers = layers
        self.errors: dict[str, WatchtowerError] = {}
        self.asked: list[str] = []

    def get(
        self,
        path: str,
        *,
        what: str,  # noqa: ARG002 - of the method that it stands for
        params: Mapping[str, str] | None = None,  # noqa: ARG002 - the same
        timeout: float | None = None,  # noqa: ARG002 - the same
    ) -> object:
        name = next(each for each in self.layers if sha(each) in path)
        self.asked.append(name)
        if name in self.errors:
            raise self.errors[name]
        return {"RootFS": {"Layers": list(self.layers[name])}}

    def told(self, ancestry: Ancestry, *, patient: bool = True) -> dict[str, tuple[str, bool]]:
        """Name -> name of its parent, and whether it is unread."""
        self.asked.clear()
        names = {sha(name): name for name in self.layers}
        images = [image(name, f"{name}:1") for name in self.layers]
        found = ancestry.told(images, self, "listing", patient=patient)
        return {names[each.id]: (names.get(each.parent, ""), each.unread) for each in found}


@pytest.mark.parametrize("error", [TemporaryError, AbsentError, PermanentError, EngineTimeoutError])
def test_one_image_of_which_the_engine_answers_an_error_is_unread_and_the_others_are_told(
    error: type[WatchtowerError],
) -> None:
    calls, ancestry = Answers({"base": "a", "bad": "ab", "app": "abc"}), Ancestry()
    calls.errors["bad"] = error("no such layer")
    assert calls.told(ancestry) == {"base": ("", False), "bad": ("", True), "app": ("base", False)}

    calls.errors.clear()
    assert calls.told(ancestry) == {"base": ("", False), "bad": ("base", False), "app": ("bad", False)}
    assert calls.asked == ["bad"]  # the others were not asked again


def test_of_images_that_hang_a_few_are_waited_for_in_one_listing_and_they_are_asked_last_in_the_next() -> None:
    calls, ancestry = Answers({**{f"h{n}": "x" for n in range(5)}, "base": "a", "app": "ab"}), Ancestry()
    calls.errors = {f"h{n}": EngineTimeoutError("it hangs") for n in range(5)}
    assert [name for name, (_, unread) in calls.told(ancestry).items() if unread] == list(calls.layers)
    assert calls.asked == ["h0", "h1", "h2"]

    del calls.errors["h3"], calls.errors["h4"]
    assert calls.told(ancestry)["app"] == ("base", False)
    assert calls.asked == ["h3", "h4", "base", "app", "h0", "h1", "h2"]


def test_who_is_in_a_hurry_asks_none_again_that_hung() -> None:
    calls, ancestry = Answers({"bad": "x", "base": "a"}), Ancestry()
    calls.errors["bad"] = EngineTimeoutError("it hangs")
    calls.told(ancestry)
    assert calls.told(ancestry, patient=False) == {"bad": ("", True), "base": ("", False)}
    assert calls.asked == []
    calls.told(ancestry)
    assert calls.asked == ["bad"]  # it is not forgotten


def test_an_engine_that_is_gone_ends_the_listing() -> None:
    calls, ancestry = Answers({"base": "a", "app": "ab"}), Ancestry()
    calls.errors["app"] = EngineRefusedError("nobody listens")
    with pytest.raises(EngineRefusedError):
        calls.told(ancestry)
    calls.errors.clear()
    assert calls.told(ancestry)["app"] == ("base", False)
    assert calls.asked == ["app"]  # what was answered before that is known
