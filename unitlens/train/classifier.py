"""SceneNet from nothing: scenes and their class names in, a weight file and a model card out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from unitlens.data.scenes import SEEDS, WORLD
from unitlens.data.world.vocabulary import CLASSES
from unitlens.models.tiny import BLOCKS, SceneNet
from unitlens.train.card import Sample, write_card
from unitlens.train.scene_files import rendered_scenes

WATCHED = 900  # held-out scenes whose accuracy is logged after every epoch


@dataclass(frozen=True)
class Plan:
    """Everything the weights depend on."""

    images: int = 14_400  # more make it too good: removing units is to have consequences
    epochs: int = 9
    batch: int = 96
    size: int = 128
    seed: int = 7
    rate: float = 2e-3
    decay: float = 0.05
    sparsity: float = 0.1  # weight of the share of units that answer an image (L1 over L2 of the pooled features)
    decorrelation: float = 0.5  # weight of the squared correlations between units over a batch
    smoothing: float = 0.05  # label smoothing
    held_out: int = 3_600


def train_classifier(plan: Plan, work: Path, output: Path) -> Path:
    """Trains SceneNet and writes scenenet.safetensors (float16), its card and its log; resumes from the last epoch."""
    work.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    pictures, labels = rendered_scenes(work, plan.images, SEEDS["train"], plan.size)
    val_pictures, val_labels = rendered_scenes(work, plan.held_out, SEEDS["validation"], plan.size)
    torch.manual_seed(plan.seed)
    model = SceneNet(len(CLASSES), batchnorm=True).to(memory_format=torch.channels_last)
    steps = plan.epochs * (plan.images // plan.batch)
    groups = [{"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": plan.decay},
              {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=plan.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, total_steps=steps, pct_start=0.15)
    checkpoint, first, seconds = work / "checkpoint.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["plan"] == asdict(plan) and state.get("world", WORLD) == WORLD:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            first, seconds = state["epoch"], state["seconds"]
    for epoch in range(first, plan.epochs):
        start = time.perf_counter()
        losses = _epoch(model, optimizer, schedule, pictures, labels, plan, epoch)
        seconds += time.perf_counter() - start
        accuracy = float((predict(model, val_pictures[:WATCHED]) == val_labels[:WATCHED]).mean())
        _log(work / "log.jsonl", epoch=epoch + 1, **losses, held_out_accuracy=accuracy, seconds=round(seconds))
        state = {"plan": asdict(plan), "world": WORLD, "epoch": epoch + 1, "seconds": seconds,
                 "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                 "schedule": schedule.state_dict()}  # fmt: skip
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
    return _finish(model, plan, seconds, (pictures, labels), (val_pictures, val_labels), output)


def _epoch(
    model: SceneNet,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    pictures: np.ndarray,
    labels: np.ndarray,
    plan: Plan,
    epoch: int,
) -> dict[str, float]:
    model.train()
    generator = torch.Generator().manual_seed(plan.seed * 1000 + epoch)
    order = torch.randperm(plan.images, generator=generator).numpy()
    total = np.zeros(4)
    batches = [np.sort(order[i : i + plan.batch]) for i in range(0, plan.images - plan.batch + 1, plan.batch)]
    for batch in batches:
        images = augmented(torch.from_numpy(pictures[batch]), generator)
        target = torch.from_numpy(labels[batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = model.pooled(images)
            scores = model.fc(features)
        error = functional.cross_entropy(scores.float(), target, label_smoothing=plan.smoothing)
        active, alike = crowding(features.float())
        (error + plan.sparsity * active + plan.decorrelation * alike).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        hits = float((scores.argmax(1) == target).float().mean())
        total += [float(error.detach()), float(active.detach()), float(alike.detach()), hits]
    names = ("cross_entropy", "active", "alike", "train_accuracy")
    return {name: round(float(v), 4) for name, v in zip(names, total / len(batches), strict=True)}


def crowding(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two penalties on the pooled features (B, U).

    The share of units that an image excites (Hoyer's L1 / L2 over the root of U, 0..1, the mean over images; blind to
    the scale of an image), and the squared correlations of a unit with all others (a tenth of their sum,
    0..(U - 1) / 10, the mean over units; blind to the scale and mean of every unit).
    Without them the units of the last layer are near copies of each other, and removing some has no consequences.
    """
    norm = features.norm(dim=1) + 1e-6
    active = (features.abs().sum(1) / norm).mean() / features.shape[1] ** 0.5
    centred = features - features.mean(0)
    unit = centred / (centred.norm(dim=0) + 1e-4)
    correlation = unit.T @ unit  # (U, U)
    off = correlation - torch.diag(correlation.diagonal())
    return active, off.square().sum() / features.shape[1] / 10


def augmented(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float (B, 3, H, W): mirrored at random, shifted by up to 6 %, other light and contrast."""
    images = pictures.permute(0, 3, 1, 2).float() / 255
    count, _, height, width = images.shape
    flip = torch.rand(count, generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    margin = round(0.06 * height)
    dy, dx = (int(torch.randint(0, 2 * margin + 1, (), generator=generator)) for _ in range(2))
    images = functional.pad(images, (margin,) * 4, mode="replicate")[:, :, dy : dy + height, dx : dx + width]
    gain, lift = (0.75 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator) for _ in range(2))
    images = (images * gain + 0.1 * (lift - 1)).clamp(0, 1)
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def pooled_features(model: SceneNet, pictures: np.ndarray, batch: int = 128) -> torch.Tensor:
    """What the linear layer sees of every picture: float32 (N, U)."""
    model.eval()
    parts = []
    for first in range(0, len(pictures), batch):
        images = torch.from_numpy(np.array(pictures[first : first + batch])).permute(0, 3, 1, 2).float() / 255
        parts.append(model.pooled(images.contiguous(memory_format=torch.channels_last)))
    return torch.cat(parts)


@torch.no_grad()
def predict(model: SceneNet, pictures: np.ndarray) -> np.ndarray:
    """The class that the model sees in every picture: int64 (N,)."""
    return model.fc(pooled_features(model, pictures)).argmax(1).numpy()


def _log(path: Path, **entry: object) -> None:
    line = json.dumps(entry)
    print(line, flush=True)
    with path.open("a") as file:
        file.write(line + "\n")


def _finish(model: SceneNet, plan: Plan, seconds: float, train: Sample, held_out: Sample, output: Path) -> Path:
    half = {name: value.half().contiguous() for name, value in model.folded().state_dict().items()}
    path = output / "scenenet.safetensors"
    header = {"world": WORLD, "plan": asdict(plan), "blocks": BLOCKS}
    save_file(half, str(path), metadata={"unitlens": json.dumps(header)})
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    shipped = SceneNet(len(CLASSES)).eval()
    shipped.load_state_dict({name: value.float() for name, value in half.items()})
    sample = slice(0, min(len(train[1]), 9_000))
    features = [(pooled_features(shipped, p[sample]).numpy(), y[sample]) for p, y in (train, held_out)]
    write_card(output, shipped, asdict(plan), seconds, *features)
    return path
