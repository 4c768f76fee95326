"""The zoo: models by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from unitlens.errors import AssetError, OptionError
from unitlens.models.tiny import SceneNet

WEIGHTS = Path(__file__).parent / "weights"


def load_model(name: str = "scenenet", *, random: bool = False, seed: int = 0) -> torch.nn.Module:
    """A model in eval mode.

    name: "scenenet", the classifier of scenes that ships with the package.
    random: its randomly initialised twin, the control of every experiment: the same architecture with PyTorch's own
        initial weights, nothing learnt.
    seed: of the twin; another seed is another twin. torch's global generator is left as it was.

    >>> model = load_model("scenenet")
    >>> model(torch.zeros(1, 3, 128, 128)).shape
    torch.Size([1, 18])

    Raises OptionError for an unknown name.
    """
    if name != "scenenet":
        raise OptionError(
            f"name: the models that ship are 'scenenet'; got {name!r}. "
            "Your own model needs no loader: pass it as it is."
        )
    if random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SceneNet()
        model.unitlens_name = "random twin"
    else:
        model = SceneNet()
        model.load_state_dict(_weights("scenenet"))
        model.unitlens_name = "SceneNet"
    return model.eval().requires_grad_(False)


def model_card(name: str = "scenenet") -> dict[str, Any]:
    """The numbers of a shipped model's card: accuracy per class, training, effects of removing units.

    >>> card = model_card("scenenet")
    >>> card["name"], card["licence"], len(card["accuracy_per_class"])
    ('SceneNet', 'MIT', 18)

    Raises OptionError for a model that does not ship.
    """
    path = WEIGHTS / f"{name}.json"
    if not path.exists():
        raise OptionError(f"name: there is no card for {name!r}; the models that ship are 'scenenet'")
    return json.loads(path.read_text())


def _weights(name: str) -> dict[str, torch.Tensor]:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        raise AssetError(
            f"{path} is missing: install unitlens again, or rebuild it with `python -m unitlens.train classifier`"
        )
    with safe_open(str(path), framework="pt") as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
