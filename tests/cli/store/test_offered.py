"""What a shell is offered of the presets in the caches."""

from __future__ import annotations

import pytest
from scene import ON_HUB, ON_KAGGLE


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["presets", "verify", ""], [ON_KAGGLE, ON_HUB]),
        (["presets", "remove", ON_KAGGLE, ""], [ON_HUB]),
        # bash has divided the word at its colon, and replaces what follows.
        (["encode", "--preset", "hf", ":", "//ow"], [ON_HUB.removeprefix("hf:")]),
        (["encode", "--preset", "=", "kaggle", ":"], [ON_KAGGLE.removeprefix("kaggle:")]),
    ],
)
def test_cached_presets_are_offered(pulled, words, offered):
    asked = {"COMP_WORDS": "\n".join(["fnet", *words]), "COMP_CWORD": str(len(words))}
    printed = pulled.ok(**asked, _FNET_COMPLETE="complete_bash", FNET_OFFLINE="1")
    assert printed.splitlines() == offered
