"""The zoo: models by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from unitlens.errors import AssetError, OptionError
from unitlens.models.generator import SceneGenerator
from unitlens.models.labelling import SceneSegmenter
from unitlens.models.tiny import SceneNet

WEIGHTS = Path(__file__).parent / "weights"


#: What ships: its class, how displays call it, and what rebuilds its weights.
SHIPPED: dict[str, tuple[type[torch.nn.Module], str, str]] = {
    "scenenet": (SceneNet, "SceneNet", "classifier"),
    "scenegenerator": (SceneGenerator, "SceneGenerator", "generator"),
    "scenesegmenter": (SceneSegmenter, "SceneSegmenter", "segmenter"),
}


def load_model(name: str = "scenenet", *, random: bool = False, seed: int = 0) -> Any:
    """A model in eval mode.

    name: "scenenet", the classifier of scenes that ships with the package; "scenegenerator", which makes pictures of
        villages of latents; "scenesegmenter", which tells the objects and parts in them.
    random: its randomly initialised twin, the control of every experiment: the same architecture with PyTorch's own
        initial weights, nothing learnt.
    seed: of the twin; another seed is another twin. torch's global generator is left as it was.

    >>> model = load_model("scenenet")
    >>> model(torch.zeros(1, 3, 128, 128)).shape
    torch.Size([1, 18])
    >>> generator = load_model("scenegenerator")
    >>> generator.generate(generator.latents(2, seed=1)).shape
    torch.Size([2, 3, 64, 64])

    Raises OptionError for an unknown name.
    """
    if name not in SHIPPED:
        raise OptionError(
            f"name: the models that ship are {', '.join(map(repr, SHIPPED))}; got {name!r}. "
            "Your own model needs no loader: pass it as it is."
        )
    kind, title, _ = SHIPPED[name]
    model: Any
    if random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = kind()
        model.unitlens_name = "random twin"
    else:
        model = kind()
        missing = model.load_state_dict(_weights(name), strict=False).missing_keys
        if any(not key.endswith("num_batches_tracked") for key in missing):
            raise AssetError(f"{name}: {missing[0]!r} is not in its weight file: install unitlens again")
        model.unitlens_name = title
    return model.eval().requires_grad_(False)


def model_card(name: str = "scenenet") -> dict[str, Any]:
    """The numbers of a shipped model's card: how good it is, how it was trained, what it was trained on.

    >>> card = model_card("scenenet")
    >>> card["name"], card["licence"], len(card["accuracy_per_class"])
    ('SceneNet', 'MIT', 18)

    Raises OptionError for a model that does not ship.
    """
    path = WEIGHTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(map(repr, SHIPPED))
        raise OptionError(f"name: there is no card for {name!r}; the models that ship are {known}")
    return json.loads(path.read_text())


def _weights(name: str) -> dict[str, torch.Tensor]:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        raise AssetError(
            f"{path} is missing: install unitlens again, or rebuild it with "
            f"`python -m unitlens.train {SHIPPED[name][2]}`"
        )
    with safe_open(str(path), framework="pt") as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
