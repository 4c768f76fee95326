"""What the words of a `unitlens dissect` line mean: a model, its layers, a probe set, a segmenter."""

from __future__ import annotations

import fnmatch
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitlens.errors import AssetError, LayerNotFound, OptionError

if TYPE_CHECKING:
    import torch

    from unitlens import ProbeSet

SEED = 0  # of random weights: every process that works on one store has to build the same model
SCENES = re.compile(r"scenes(?::(\d+))?")
FACTORY = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


def model_of(text: str, weights: Path | None = None) -> torch.nn.Module:
    """The model of a name: "scenenet", a classifier of torchvision, or "package.module:factory".

    weights: a state dict, as safetensors or as a file of torch.save. Without it torchvision's models and those of a
    factory have the random weights of torch.manual_seed(0). Raises OptionError, AssetError.

    >>> type(model_of("resnet18")).__name__
    'ResNet'
    """
    import torch

    import unitlens as ul

    if text == "scenenet":
        model = ul.load_model("scenenet")
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = made_by(text, "--model") if ":" in text else _classifier(text)
    if not isinstance(model, torch.nn.Module):
        raise OptionError(f"--model: expected {text} to give a torch.nn.Module, got {type(model).__name__}")
    if weights is not None:
        _load_weights(model, weights)
    return model.eval()


def layers_of(model: torch.nn.Module, text: str) -> list[str]:
    """The layers of a comma-separated list of names, shell patterns, and "convs" for all convolutions.

    Raises OptionError for a pattern that matches none, LayerNotFound.

    >>> net = model_of("scenenet")
    >>> layers_of(net, "conv5_?, conv1_1"), len(layers_of(net, "convs"))
    (['conv5_1', 'conv5_2', 'conv5_3', 'conv1_1'], 13)
    """
    import torch

    import unitlens as ul

    known = ul.layers(model)
    found: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word == "convs":
            some = [name for name in known if isinstance(model.get_submodule(name), torch.nn.Conv2d)]
        elif any(letter in word for letter in "*?["):
            some = fnmatch.filter(known, word)
        elif word in known:
            some = [word]
        else:
            raise LayerNotFound(word, known)
        if not some:
            raise OptionError(f"--layers: no layer matches {word!r}. The first ones are {', '.join(known[:5])}.")
        found += some
    if not found:
        raise OptionError("--layers: expected layer names, patterns such as 'conv*', or 'convs'; got none")
    return list(dict.fromkeys(found))


def probe_of(text: str, size: tuple[int, int] | None, masks: Path | None, names: Path | None) -> ProbeSet:
    """The probe set of "scenes", "scenes:COUNT" or a folder of images (with masks and a JSON file of their names).

    Raises ProbeError, OptionError.

    >>> probe_of("scenes:36", (64, 64), None, None)
    SceneProbe(36 images of 64x64, 18 classes, 194 concepts)
    """
    import unitlens as ul

    scenes = SCENES.fullmatch(text)
    if not scenes:
        if not Path(text).expanduser().is_dir():
            raise OptionError(f"--data: expected scenes, scenes:2000 or a folder of images; {text!r} is no folder")
        return ul.from_folder(text, size=size or 224, masks=masks, names=names)
    if masks or names:
        raise OptionError("--masks and --names: scenes have their own labels; these are for a folder of images")
    if size and size[0] != size[1]:
        raise OptionError(f"--image-size: scenes are square, got {size[0]}x{size[1]}")
    options = {"size": size[0]} if size else {}
    return ul.load_probe("scenes", count=int(scenes[1] or 1000), **options)


def segmenter_of(text: str | None) -> Any:
    """What `dissect` takes as its segmenter: a word of its own, or what "package.module:factory" makes."""
    return made_by(text, "--segmenter") if text and ":" in text else text


def preprocess_of(text: str | None, imagenet: bool) -> Any:
    """None, the ImageNet normalisation, or what "package.module:factory" makes. imagenet: the default is the second.

    >>> preprocess_of("none", True), preprocess_of(None, True).fingerprint[:21]
    (None, 'Normalize(mean=(0.485')
    """
    from unitlens import Normalize
    from unitlens.models.preprocess import IMAGENET

    word = text or ("imagenet" if imagenet else "none")
    if ":" in word:
        return made_by(word, "--preprocess")
    if word not in ("none", "imagenet"):
        raise OptionError(f"--preprocess: expected none, imagenet or package.module:factory, got {word!r}")
    return Normalize(*IMAGENET) if word == "imagenet" else None


def size_of(text: str | None, option: str) -> tuple[int, int] | None:
    """(height, width) of "56x48", or of one number for a square.

    >>> size_of("56x48", "--grid"), size_of("224", "--image-size"), size_of(None, "--grid")
    ((56, 48), (224, 224), None)
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text.strip().lower())
    if not numbers:
        raise OptionError(f"{option}: expected HEIGHTxWIDTH such as 56x56, or one number, got {text!r}")
    return int(numbers[1]), int(numbers[2] or numbers[1])


def made_by(text: str, option: str) -> Any:
    """What the function of "package.module:factory" returns; modules of the working folder are found too.

    Raises OptionError around what importing or calling it raises.
    """
    parts = FACTORY.fullmatch(text)
    if not parts:
        raise OptionError(f"{option}: expected package.module:factory, got {text!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        factory: Callable[[], Any] = importlib.import_module(parts[1])  # type: ignore[assignment]
        for name in parts[2].split("."):
            factory = getattr(factory, name)
        return factory()
    except Exception as error:
        raise OptionError(f"{option}: {text} could not be made ({type(error).__name__}: {error})") from error


def _classifier(name: str) -> torch.nn.Module:
    import difflib

    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, ["scenenet", *known], n=3, cutoff=0.3)) or "vgg16, resnet18"
        raise OptionError(
            f"--model: expected scenenet, a classifier of torchvision or package.module:factory, got {name!r}. "
            f"Nearest names: {near}."
        )
    return models.get_model(name, weights=None)


def _load_weights(model: torch.nn.Module, path: Path) -> None:
    """Fills a model from a state dict; nothing in the file is run."""
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise AssetError(f"--weights: {path} is not a file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
        model.load_state_dict(state)
    except Exception as error:  # what a file that is something else raises has no one class
        reason = " ".join(str(error).split())
        short = reason if len(reason) < 300 else reason[:300] + " ..."
        raise AssetError(f"--weights: {path} is no state dict of this {type(model).__name__} ({short})") from error
