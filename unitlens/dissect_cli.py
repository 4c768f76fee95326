"""The command line of long dissections: `unitlens dissect`, alone, under torchrun, or as a SLURM array."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unitlens.dissect_inputs import layers_of, model_of, preprocess_of, probe_of, segmenter_of, size_of
from unitlens.errors import DataWarning, OptionError, StoreWarning

if TYPE_CHECKING:
    import torch

    from unitlens import Dissection

MANY = 5000  # images from which on a plain run is told that others can help
PATIENCE = timedelta(days=2)  # for ranks that are still at their last shard
HOW = """\
Everything that is counted goes into the store ($UNITLENS_HOME, now {home}),
in shards that any process can take. So a killed run goes on where it was, and these share the work of one line:

Several GPUs or cores of one machine (each rank takes the GPU of its number):

    torchrun --standalone --nproc-per-node 4 -m unitlens dissect --model vgg16 --layers convs --data FOLDER

Many machines that see one folder, as a SLURM array. The processes are independent: they never wait for each other to
start, one may be killed and queued again, one may join late.

    #!/bin/bash
    #SBATCH --array=0-7
    #SBATCH --gpus=1
    #SBATCH --cpus-per-task=8
    export UNITLENS_HOME=/a/folder/all/machines/see   # with file locks
    export UNITLENS_STORE_GB=200                      # above this the least recently used results go
    unitlens dissect --model vgg16 --layers convs --data FOLDER

Afterwards the same line with --output page.html, or `ul.dissect` in a notebook with the same arguments, opens the
result without running the model. Models with random weights are seeded, so all processes build the same one."""

Layers = Annotated[str, typer.Option(help="Names and patterns, comma-separated: conv5_1,conv4_* or convs (all).")]
Model = Annotated[str, typer.Option(help="scenenet, a torchvision classifier, or package.module:factory.")]
Weights = Annotated[Path | None, typer.Option(help="A state dict (.safetensors, .pt); random weights by default.")]
Data = Annotated[str, typer.Option(help="scenes, scenes:2000, or a folder of images.")]
Masks = Annotated[Path | None, typer.Option(help="Folder of masks, one per image of the folder.")]
Names = Annotated[Path | None, typer.Option(help="JSON file: what the values of the masks mean.")]
ImageSize = Annotated[str | None, typer.Option(help="224 or 224x320 (height x width); scenes: 64 to 256.")]
Segmenter = Annotated[str | None, typer.Option(help="truth, colours, truth+colours, or package.module:factory.")]
Prepare = Annotated[str | None, typer.Option(help="none, imagenet (default: torchvision + --weights), or a factory.")]
Quantile = Annotated[float, typer.Option(help="0.99: a unit fires on its top 1 % of the pixels.")]
MinIoU = Annotated[float, typer.Option("--min-iou", help="A unit is a detector from this IoU on.")]
Exact = Annotated[bool, typer.Option("--exact", help="Exact thresholds, by a second pass.")]
AfterRelu = Annotated[bool, typer.Option("--after-relu", help="Measure max(activation, 0).")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto; under torchrun each rank has its own GPU.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images at a time; what fits by default.")]
Precision = Annotated[str, typer.Option(help="full, or mixed: float16 autocast on a GPU.")]
Grid = Annotated[str | None, typer.Option(help="Where activations and labels meet, 56x56; image size / 4 by default.")]
Output = Annotated[Path | None, typer.Option(help="A self-contained page to write.")]
Save = Annotated[Path | None, typer.Option(help="A .safetensors file to write; `unitlens.load` opens it.")]
Keep = Annotated[bool, typer.Option("--store/--no-store", help="Keep counts and result, and use what is there.")]


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is; rendezvous: whether torchrun has said where they meet."""

    rank: int = 0
    world: int = 1
    local: int = 0
    rendezvous: bool = False

    @classmethod
    def here(cls) -> Ranks:
        """As RANK, WORLD_SIZE and LOCAL_RANK say. Raises OptionError where they are no numbers."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        try:
            rank, world, local = (int(os.environ.get(name, default)) for name, default in zip(names, "010"))
        except ValueError:
            got = ", ".join(f"{name}={os.environ.get(name)}" for name in names)
            raise OptionError(f"expected whole numbers of the launcher, got {got}") from None
        if not 0 <= rank < world:
            raise OptionError(f"expected RANK below WORLD_SIZE, got RANK={rank} and WORLD_SIZE={world}")
        return cls(rank, world, local, world > 1 and "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ)

    def device(self, text: str) -> torch.device:
        """The device that a word means for this rank. Raises OptionError where it is not there."""
        import torch

        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if text == "auto":
            text = "cuda" if there else "cpu"
        if text == "cuda" and there:
            return torch.device("cuda", self.local % there)
        try:
            device: torch.device | None = torch.device(text)
        except RuntimeError:
            device = None
        if device is None or device.type not in ("cpu", "cuda", "mps"):
            raise OptionError(f"--device: expected cpu, cuda, cuda:1 or auto, got {text!r}")
        if device.type == "cuda" and (device.index or 0) >= there:
            raise OptionError(f"--device: there is no {text} here: torch sees {there} GPUs. Use --device cpu.")
        return device

    def wait(self, device: torch.device) -> None:
        """Returns when all ranks are here: a launcher takes the end of one for the end of its work."""
        if not self.rendezvous:
            return
        import torch
        import torch.distributed as group

        own_gpu = device.type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) <= torch.cuda.device_count()
        if own_gpu:
            torch.cuda.set_device(device)
            group.init_process_group("nccl", timeout=PATIENCE, device_id=device)
            group.barrier(device_ids=[device.index])
        else:  # nccl refuses two ranks on one GPU
            group.init_process_group("gloo", timeout=PATIENCE)
            group.barrier()
        group.destroy_process_group()


def _show_how(asked: bool) -> None:
    if asked:
        from unitlens.store import home

        typer.echo(HOW.format(home=home()))
        raise typer.Exit


How = Annotated[bool, typer.Option("--how", callback=_show_how, is_eager=True, help="How many processes share a run.")]


def dissect(
    layers: Layers, model: Model = "scenenet", weights: Weights = None, data: Data = "scenes:1000",
    masks: Masks = None, names: Names = None, image_size: ImageSize = None, segmenter: Segmenter = None,
    preprocess: Prepare = None, quantile: Quantile = 0.99, min_iou: MinIoU = 0.04, exact: Exact = False,
    after_relu: AfterRelu = False, device: Device = "auto", batch_size: BatchSize = None, precision: Precision = "full",
    grid: Grid = None, output: Output = None, save: Save = None, store: Keep = True, how: How = False,
) -> None:  # fmt: skip
    """Dissect layers of a model over a probe set: what is counted stays in the store that notebooks read.

    `unitlens dissect --how` shows how several processes or machines share one run.
    """
    ranks = Ranks.here()
    for path, option in ((output, "--output"), (save, "--save")):
        _check_target(path, option)
    if ranks.world > 1 and not store:
        raise OptionError("--no-store: several processes share their work through the store; start one, or keep it")
    import unitlens as ul

    with _warnings_in_a_line(ranks.rank == 0):
        place = ranks.device(device)
        network = model_of(model, weights).to(place)
        probe = probe_of(data, size_of(image_size, "--image-size"), masks, names)
        known = bool(weights) and ":" not in model and model != "scenenet"
        parts = {"segmenter": segmenter_of(segmenter), "preprocess": preprocess_of(preprocess, known)}
        _check_named(parts, ranks)
        found = ul.dissect(
            network, layers_of(network, layers), probe, **parts, quantile=quantile, min_iou=min_iou, exact=exact,
            after_relu=after_relu, precision=precision, grid=size_of(grid, "--grid"), batch_size=batch_size,
            store=store, show_progress=ranks.rank == 0, name=None if model == "scenenet" else model.rpartition(":")[2],
        )  # fmt: skip
        if ranks.rank == 0:
            _tell(found, output, save)
            if len(probe) > MANY and ranks.world == 1:
                typer.echo("Several processes or machines can share such a run: unitlens dissect --how")
        ranks.wait(place)


def _tell(found: Dissection, output: Path | None, save: Path | None) -> None:
    """The summary, and the files asked for."""
    from unitlens import report

    typer.echo(found.text())
    if output:
        typer.echo(f"{report(found, output).resolve()}: open it in a browser.")
    if save:
        typer.echo(f"{found.save(save).resolve()}: unitlens.load opens it.")


def _check_named(parts: Mapping[str, Any], ranks: Ranks) -> None:
    """What has no identity is not stored, and so cannot be shared: every rank would do all of the work."""
    for name, part in parts.items():
        if ranks.world > 1 and callable(part) and getattr(part, "fingerprint", None) is None:
            raise OptionError(f"--{name}: several processes share what is stored; give the {name} a fingerprint")


def _check_target(path: Path | None, option: str) -> None:
    """A file that cannot be written is said now, not after the work is done."""
    if path is None:
        return
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{option}: the folder {path.absolute().parent} cannot be made ({error})") from error
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise OptionError(f"{option}: expected a file that can be written, got {path}")


@contextmanager
def _warnings_in_a_line(show: bool) -> Iterator[None]:
    """Warnings of unitlens as one yellow line each, told by one process only."""
    with warnings.catch_warnings():
        plain = warnings.showwarning

        def line(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, (DataWarning, StoreWarning)):
                plain(message, category, *rest, **more)
            elif show:
                typer.secho(f"unitlens: {message}", fg=typer.colors.YELLOW, err=True)

        warnings.showwarning = line
        yield


def mounted(app: typer.Typer, worded: Callable[[Any], Any]) -> None:
    """Adds the command; worded: what turns errors of unitlens into one red line."""
    app.command()(worded(dissect))
