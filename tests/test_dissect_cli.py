"""`unitlens dissect`: what its words mean, what it keeps, what it writes, and how it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import unitlens as ul
from unitlens import cli
from unitlens.dissect_cli import Ranks
from unitlens.dissect_inputs import layers_of, model_of, preprocess_of, probe_of, size_of
from unitlens.errors import AssetError, LayerNotFound, OptionError

runner = CliRunner()

FACTORIES = """
import torch
import unitlens as ul

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 5, 3, 2, 1)
        self.second = torch.nn.Conv2d(5, 6, 3, 2, 1)

    def forward(self, x):
        return self.second(self.first(x).relu()).mean((2, 3))

class Makers:
    net = Net

def dark():
    return ul.Custom(lambda images: images.mean(1, keepdim=True) < 0.5, [("dark", "material")], "dark")

def unnamed():
    return ul.Custom(lambda images: images.mean(1, keepdim=True) < 0.5, [("dark", "material")])

def number():
    return 7

def broken():
    raise KeyError("no such thing")
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of factories, images with masks, and a store of its own."""
    (tmp_path / "unitlens_test_factories.py").write_text(FACTORIES)
    rng = np.random.RandomState(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for n in range(18):
        Image.fromarray(rng.randint(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / "images" / f"{n:02}.png")
        Image.fromarray(rng.randint(0, 3, (20, 30)).astype(np.uint8)).save(tmp_path / "masks" / f"{n:02}.png")
    (tmp_path / "names.json").write_text(json.dumps({"1": "sky", "2": ["roof", "part"]}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("UNITLENS_HOME", str(tmp_path / "home"))
    return tmp_path


NET = ("--model", "unitlens_test_factories:Net")
FOLDER = ("--data", "images", "--image-size", "20x30", "--device", "cpu")


def refused(*arguments: object) -> str:
    """The one line of a refusal."""
    result = runner.invoke(cli.app, ["dissect", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


# ---- what it keeps and writes ------------------------------------------------------------------------------------


def test_a_call_in_python_opens_what_the_line_has_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--masks", "masks", "--names", "names.json", "--quantile", 0.98, "--min-iou", 0.01, "--after-relu"]
    line = ["dissect", *NET, *FOLDER, "--layers", "first,second", *options, "--grid", "10x15", "--batch-size", 5]
    result = runner.invoke(cli.app, list(map(str, line)))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Dissection of Net\n11 units of 2 layers, 2 concepts, 18 images, quantile 0.98")
    probe = ul.from_folder("images", size=(20, 30), masks="masks", names="names.json")
    model = model_of("unitlens_test_factories:Net")
    monkeypatch.setattr(type(model), "forward", None)  # it cannot be run
    found = ul.dissect(
        model, ["first", "second"], probe, quantile=0.98, min_iou=0.01, after_relu=True, grid=(10, 15), name="Net",
        show_progress=False,
    )  # fmt: skip
    assert found.text() + "\n" == result.stdout


def test_scenes_of_the_shipped_model_are_a_hit_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["dissect", "--layers", "conv5_*", "--data", "scenes:20", "--image-size", "64", "--device", "cpu"]
    result = runner.invoke(cli.app, [*line, "--segmenter", "colours", "--exact"])
    assert result.exit_code == 0, result.output
    model = ul.load_model("scenenet")
    monkeypatch.setattr(type(model), "forward", None)
    found = ul.dissect(
        model, ["conv5_1", "conv5_2", "conv5_3"], ul.load_probe("scenes", count=20, size=64), segmenter="colours",
        exact=True, show_progress=False,
    )  # fmt: skip
    assert found.text() + "\n" == result.stdout


def test_page_and_file_are_written_where_asked(folder: Path) -> None:
    line = ["dissect", *NET, *FOLDER, "--layers", "convs", "--segmenter", "unitlens_test_factories:dark"]
    result = runner.invoke(cli.app, [*line, "--output", "new/page.html", "--save", "other/found.safetensors"])
    assert result.exit_code == 0, result.output
    assert (folder / "new" / "page.html").read_text().lstrip().lower().startswith("<!doctype html>")
    found = ul.load(folder / "other" / "found.safetensors")
    assert list(found) == ["first", "second"] and [c.name for c in found.vocabulary] == ["dark"]
    assert [re.sub(r":.*", "", text) for text in result.stdout.splitlines()[-2:]] == [
        str((folder / "new" / "page.html").resolve()), str((folder / "other" / "found.safetensors").resolve()),
    ]  # fmt: skip


def test_no_store_keeps_nothing_and_gives_the_same(folder: Path) -> None:
    line = ["dissect", *NET, *FOLDER, "--layers", "first"]
    without = runner.invoke(cli.app, [*line, "--no-store"])
    assert not list((folder / "home").rglob("*.safetensors"))
    kept = runner.invoke(cli.app, line)
    assert (without.exit_code, kept.exit_code, without.stdout) == (0, 0, kept.stdout)
    assert list((folder / "home").rglob("*.safetensors"))


@pytest.mark.filterwarnings("default::unitlens.errors.DataWarning")
def test_a_result_that_cannot_be_kept_is_told_in_one_line(folder: Path) -> None:
    result = runner.invoke(
        cli.app, ["dissect", *NET, *FOLDER, "--layers", "first", "--segmenter", "unitlens_test_factories:unnamed"]
    )
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if line.startswith("unitlens: ")]
    assert len(told) == 1 and "segmenter cannot be recognised again" in told[0]


# ---- what its words mean -----------------------------------------------------------------------------------------


def test_random_weights_are_the_same_in_every_process_and_move_no_generator(folder: Path) -> None:
    before = torch.get_rng_state()
    for name in ("resnet18", "unitlens_test_factories:Net"):
        a, b = model_of(name).state_dict(), model_of(name).state_dict()
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert torch.equal(before, torch.get_rng_state())
    assert not model_of("unitlens_test_factories:Makers.net").training


@pytest.mark.parametrize("kind", ["weights.safetensors", "weights.pt", "wrapped.pt"])
def test_weights_come_from_a_state_dict(folder: Path, kind: str) -> None:
    state = {name: torch.randn_like(value) for name, value in model_of(NET[1]).state_dict().items()}
    path = folder / kind
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if kind == "wrapped.pt" else state, path)
    filled = model_of(NET[1], path).state_dict()
    assert all(torch.equal(filled[name], state[name]) for name in state)


def test_weights_that_do_not_fit_or_hold_code_are_refused(folder: Path) -> None:
    torch.save(model_of(NET[1]), folder / "whole.pt")  # a pickled class: weights_only refuses it
    torch.save({"other": torch.ones(2)}, folder / "other.pt")
    (folder / "text.safetensors").write_text("no")
    for name in ("whole.pt", "other.pt", "text.safetensors"):
        with pytest.raises(AssetError, match="is no state dict of this Net"):
            model_of(NET[1], folder / name)
    with pytest.raises(AssetError, match="is not a file"):
        model_of(NET[1], folder / "nowhere.pt")


def test_layers_are_names_patterns_and_convs_in_the_order_given_once_each() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(), torch.nn.Sequential(torch.nn.Conv2d(4, 2, 1)))
    assert layers_of(net, "convs") == ["0", "2.0"]
    assert layers_of(net, "1, 2*,convs") == ["1", "2", "2.0", "0"]
    assert layers_of(net, "[01]") == ["0", "1"]
    with pytest.raises(LayerNotFound, match="'7'"):
        layers_of(net, "0,7")
    for text in ("x*", " , "):
        with pytest.raises(OptionError, match="--layers"):
            layers_of(net, text)


def test_data_are_scenes_or_a_folder(folder: Path) -> None:
    assert (len(probe_of("scenes", None, None, None)), probe_of("scenes:7", (96, 96), None, None).size) == (
        1000, (96, 96),
    )  # fmt: skip
    assert probe_of("images", None, None, None).size == (224, 224)
    masked = probe_of("images", (20, 30), Path("masks"), Path("names.json"))
    assert masked.vocabulary is not None and [c.name for c in masked.vocabulary] == ["sky", "roof"]


def test_imagenet_is_the_default_for_torchvision_with_weights_only() -> None:
    assert preprocess_of(None, False) is None and preprocess_of("none", True) is None
    assert preprocess_of("imagenet", False).fingerprint == preprocess_of(None, True).fingerprint
    assert preprocess_of("imagenet", False).fingerprint.startswith("Normalize(mean=(0.485, 0.456, 0.406)")


@pytest.mark.parametrize("text", ["5by5", "0x4", "x", "4x", "-3", "4x5x6", ""])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match=r"--grid: expected HEIGHTxWIDTH such as 56x56"):
        size_of(text, "--grid")


# ---- how it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--layers convx", "layer 'convx' is not in the model. Nearest names"),
        ("--layers zz*", "--layers: no layer matches 'zz*'"),
        ("--layers convs --model vgg", "Nearest names: vgg19"),
        ("--layers convs --model nowhere.at:all", "ModuleNotFoundError"),
        ("--layers convs --model unitlens_test_factories:broken", "could not be made (KeyError: 'no such thing')"),
        ("--layers convs --model unitlens_test_factories:number", "to give a torch.nn.Module, got int"),
        ("--layers convs --model a:b:c", "expected package.module:factory, got 'a:b:c'"),
        ("--layers convs --data nowhere", "'nowhere' is no folder"),
        ("--layers convs --data scenes:0", "count: expected 1 or more scenes"),
        ("--layers convs --data scenes:9 --masks masks", "scenes have their own labels"),
        ("--layers convs --data scenes:9 --image-size 64x80", "scenes are square, got 64x80"),
        ("--layers convs --data images --masks masks", "masks and names: give both"),
        ("--layers convs --segmenter truthy", "segmenter: got 'truthy'. Accepted"),
        ("--layers convs --segmenter unitlens_test_factories:number", "segmenter: got 7. Accepted"),
        ("--layers convs --preprocess some", "--preprocess: expected none, imagenet"),
        ("--layers convs --quantile 0.01", "did you mean 0.99?"),
        ("--layers convs --min-iou 2", "min_iou: expected 0..1, got 2.0"),
        ("--layers convs --precision half", "precision: expected one of 'full', 'mixed'"),
        ("--layers convs --grid 5by5", "--grid: expected HEIGHTxWIDTH"),
        ("--layers convs --device abacus", "--device: expected cpu, cuda, cuda:1 or auto, got 'abacus'"),
        ("--layers convs --device cuda:77", "--device: there is no cuda:77 here"),
        ("--layers convs --output names.json/page.html", "--output: the folder"),
        ("--layers convs --save images", "--save: expected a file that can be written"),
        ("--layers convs --weights nowhere.pt", "--weights: nowhere.pt is not a file"),
    ],
)
def test_bad_words_are_one_line(folder: Path, words: str, said: str) -> None:
    assert said in refused(*words.split())


def test_layers_have_to_be_named() -> None:
    result = runner.invoke(cli.app, ["dissect"])
    assert result.exit_code == 2 and "--layers" in result.stderr


# ---- several processes -------------------------------------------------------------------------------------------


def test_how_shows_torchrun_and_an_array() -> None:
    result = runner.invoke(cli.app, ["dissect", "--how"])
    assert result.exit_code == 0
    assert "torchrun --standalone --nproc-per-node 4 -m unitlens dissect" in result.stdout
    assert "#SBATCH --array=0-7" in result.stdout and "UNITLENS_HOME" in result.stdout


@pytest.mark.parametrize(("images", "world", "told"), [(5001, 1, True), (5000, 1, False), (5001, 2, False)])
def test_long_plain_runs_are_told_that_others_can_help(
    monkeypatch: pytest.MonkeyPatch, images: int, world: int, told: bool
) -> None:
    shown = SimpleNamespace(text=lambda: "SUMMARY")
    monkeypatch.setattr(ul, "dissect", lambda *_, **__: shown, raising=False)
    monkeypatch.setenv("WORLD_SIZE", str(world))
    result = runner.invoke(cli.app, ["dissect", "--layers", "conv5_1", "--data", f"scenes:{images}", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert ("unitlens dissect --how" in result.stdout) is told


def test_only_the_first_rank_tells_and_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")  # without a rendezvous, as in an array: nobody is waited for
    result = runner.invoke(cli.app, ["dissect", *NET, *FOLDER, "--layers", "first", "--output", "page.html"])
    assert (result.exit_code, result.output) == (0, "")
    assert not (folder / "page.html").exists()
    assert list((folder / "home").rglob("*.safetensors"))


def test_ranks_need_the_store_and_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "share their work through the store" in refused("--layers", "convs", "--no-store")
    unnamed = ["--layers", "first", "--segmenter", "unitlens_test_factories:unnamed"]
    assert "give the segmenter a fingerprint" in refused(*NET, *FOLDER, *unnamed)
    monkeypatch.setenv("RANK", "first")
    assert "expected whole numbers of the launcher, got RANK=first" in refused("--layers", "convs")


@pytest.mark.parametrize(
    ("text", "gpus", "local", "device"),
    [
        ("auto", 0, 3, "cpu"), ("auto", 4, 3, "cuda:3"), ("cuda", 2, 3, "cuda:1"), ("cuda:1", 2, 0, "cuda:1"),
        ("cpu", 4, 1, "cpu"),
    ],
)  # fmt: skip
def test_every_rank_has_the_gpu_of_its_number(
    monkeypatch: pytest.MonkeyPatch, text: str, gpus: int, local: int, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert str(Ranks(local, 4, local).device(text)) == device
