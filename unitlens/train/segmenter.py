"""SceneSegmenter from nothing: villages with their exact labels in, a weight file and a card out."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from unitlens.data.scenes import SEEDS, WORLD
from unitlens.models.labelling import PLANES, SceneSegmenter
from unitlens.train.scene_files import labelled_scenes

SAVED = 250  # steps between checkpoints


@dataclass(frozen=True)
class SegmenterPlan:
    """Everything the weights depend on."""

    images: int = 10_000
    steps: int = 4_000
    batch: int = 32
    size: int = 64
    seed: int = 7
    rate: float = 3e-3
    rare: float = 0.4  # power of a name's rareness in its weight
    held_out: int = 1_000


def train_segmenter(plan: SegmenterPlan, work: Path, output: Path) -> Path:
    """Trains SceneSegmenter and writes scenesegmenter.safetensors (float16) and its card; resumes."""
    work.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    pictures, labels = labelled_scenes(work, plan.images, SEEDS["train"], plan.size, "village")
    torch.manual_seed(plan.seed)
    model = SceneSegmenter().to(memory_format=torch.channels_last)
    weights = rareness(labels, plan.rare)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, total_steps=plan.steps, pct_start=0.1)
    dice = torch.Generator().manual_seed(plan.seed)
    checkpoint, step, seconds = work / f"segmenter-{plan.seed}.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["plan"] == asdict(plan) and state["world"] == WORLD:
            for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
                part.load_state_dict(state[name])
            dice.set_state(state["dice"])
            step, seconds = state["step"], state["seconds"]
    total = 0.0
    while step < plan.steps:
        begun = time.perf_counter()
        total += _step(model, optimizer, weights, *_drawn(pictures, labels, plan.batch, dice))
        schedule.step()
        step, seconds = step + 1, seconds + time.perf_counter() - begun
        if step % SAVED == 0 or step == plan.steps:
            print(json.dumps({"step": step, "seconds": round(seconds), "loss": round(total / SAVED, 4)}), flush=True)
            total = 0.0
            state = {"plan": asdict(plan), "world": WORLD, "step": step, "seconds": seconds, "dice": dice.get_state(),
                     "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                     "schedule": schedule.state_dict()}  # fmt: skip
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
    return _finish(model, plan, seconds, work, output)


def rareness(labels: np.ndarray, power: float) -> list[Tensor]:
    """The weight of each name of each plane: its share of the pixels to a negative power, 1 on average over pixels."""
    found = []
    for plane, (_, names) in enumerate(PLANES):
        share = np.bincount(labels[:2000, plane].ravel(), minlength=len(names) + 1) + 1.0
        share /= share.sum()
        weight = share**-power
        found.append(torch.from_numpy(weight / (weight * share).sum()).float())
    return found


def _drawn(pictures: np.ndarray, labels: np.ndarray, count: int, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some scenes, each changed: images (B, 3, S, S) and labels int64 (B, K, S, S)."""
    rows = torch.randint(0, len(pictures), (count,), generator=dice).numpy()
    images = torch.from_numpy(pictures[np.sort(rows)]).permute(0, 3, 1, 2).float() / 255
    planes = torch.from_numpy(labels[np.sort(rows)]).long()
    flip = (torch.rand(count, generator=dice) < 0.5)[:, None, None, None]
    images, planes = torch.where(flip, images.flip(3), images), torch.where(flip, planes.flip(3), planes)
    return coarsened(images, dice).contiguous(memory_format=torch.channels_last), planes


def coarsened(images: Tensor, dice: torch.Generator) -> Tensor:
    """Pictures made worse as those of a generator are: other light and colours, blurred, with noise, washed patches."""
    count, _, height, width = images.shape

    def drawn(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=dice)

    images = (images - 0.5) * drawn(0.75, 1.25) + 0.5 + drawn(-0.1, 0.1) + drawn(-0.06, 0.06, 3)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, blurred, drawn(-0.3, 1.0))  # below 0 it is sharpened
    for cells in (8, 32, height):
        noise = torch.randn(count, 3, cells, cells, generator=dice) * drawn(0, 0.05)
        images = images + functional.interpolate(noise, (height, width), mode="bilinear", align_corners=False)
    return images.clamp(0, 1)


def _step(
    model: SceneSegmenter, optimizer: torch.optim.Optimizer, weights: list[Tensor], images: Tensor, planes: Tensor
) -> float:
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    loss = torch.zeros(())
    for plane, (said, weight) in enumerate(zip(model.by_plane(logits.float()), weights, strict=True)):
        loss = loss + functional.cross_entropy(said, planes[:, plane], weight=weight)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


@torch.no_grad()
def agreement(model: SceneSegmenter, pictures: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """IoU of every name, pooled over the pictures, its mean, and the share of pixels right in each plane."""
    model.eval()
    said = []
    for first in range(0, len(pictures), 64):
        images = torch.from_numpy(np.array(pictures[first : first + 64])).permute(0, 3, 1, 2).float() / 255
        said.append(model.labels(model(images.contiguous(memory_format=torch.channels_last))).numpy())
    found, iou, right = np.concatenate(said), dict[str, float](), dict[str, float]()
    for plane, (category, names) in enumerate(PLANES):
        size = len(names) + 1
        pairs = np.bincount(
            labels[:, plane].ravel().astype(np.int64) * size + found[:, plane].ravel(), minlength=size * size
        ).reshape(size, size)  # true, said
        union = pairs.sum(0) + pairs.sum(1) - pairs.diagonal()
        iou |= {name: float(pairs[i, i] / max(1, union[i])) for i, name in enumerate(names, start=1)}
        right[category] = float(pairs.diagonal().sum() / pairs.sum())
    return {"iou": iou, "mean_iou": float(np.mean(list(iou.values()))), "pixel_accuracy": right}


def _finish(model: SceneSegmenter, plan: SegmenterPlan, seconds: float, work: Path, output: Path) -> Path:
    half = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    path = output / "scenesegmenter.safetensors"
    header = {"world": WORLD, "plan": asdict(plan), "planes": PLANES}
    kept = {name: value.contiguous() for name, value in half.items() if not name.endswith("num_batches_tracked")}
    save_file(kept, str(path), metadata={"unitlens": json.dumps(header)})
    path.chmod(0o644)
    shipped = SceneSegmenter().eval()
    shipped.load_state_dict({name: value.float() for name, value in kept.items()}, strict=False)
    pictures, labels = labelled_scenes(work, plan.held_out, SEEDS["validation"], plan.size, "village")
    card = {
        "name": "SceneSegmenter", "licence": "MIT", "world": WORLD, "plan": asdict(plan),
        "training_minutes": round(seconds / 60, 1),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in model.parameters()), **agreement(shipped, pictures, labels),
    }  # fmt: skip
    (output / "scenesegmenter.json").write_text(json.dumps(card, indent=1) + "\n")
    (output / "scenesegmenter.md").write_text(page_of(card))
    return path


def page_of(card: dict[str, Any]) -> str:
    """The card for people."""
    plan, right = card["plan"], card["pixel_accuracy"]
    lines = [
        "# SceneSegmenter", "",
        f"Tells {len(card['iou'])} objects and parts in pictures of villages, one object and one part per pixel; "
        f"{card['parameters']:,} parameters, trained on {plan['images']:,} rendered scenes (world {card['world']}) "
        f"with their exact labels, made worse as generated pictures are. Licence: {card['licence']}. "
        "Rebuild: `python -m unitlens.train segmenter`.", "",
        f"- mean IoU on {plan['held_out']:,} held-out scenes: {card['mean_iou']:.3f}; pixels right: "
        f"{right['object']:.1%} (objects), {right['part']:.1%} (parts)",
        f"- training: {card['training_minutes']} minutes ({card['machine']}), seed {plan['seed']}",
        "- use: to see what is in generated villages, which have no ground truth", "", "| concept | IoU |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {value:.3f} |" for name, value in card["iou"].items()]
    return "\n".join(lines) + "\n"
