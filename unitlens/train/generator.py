"""SceneGenerator from nothing: villages in, a weight file, a card and a sheet of samples out."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from unitlens.data.scenes import SEEDS, WORLD
from unitlens.models.generator import SceneGenerator
from unitlens.models.zoo import load_model
from unitlens.train.adversary import Adversary, changed_alike
from unitlens.train.generator_card import MEASURED, generator_card, write_generator_card
from unitlens.train.scene_files import rendered_scenes

SAVED = 250  # steps between checkpoints
SPARSE = ("layer3", "layer4", "layer5", "layer6")  # where objects are; units that fire seldom have more to say


@dataclass(frozen=True)
class GeneratorPlan:
    """Everything the weights depend on."""

    images: int = 20_000
    steps: int = 22_000
    batch: int = 24
    size: int = 64
    seed: int = 7
    rate: float = 1e-3
    judge_rate: float = 5e-4
    averaging: float = 0.998  # of the weights that are kept
    measured: int = MEASURED  # pictures that the card is made of
    variety: float = 0.1  # weight of how much pictures differ for how much their latents do
    settle: int = 5_500  # last steps, in which units are made to fire seldom and the rates fall to a tenth
    sparsity: float = 20.0  # weight of how much of `SPARSE` is active then


class Training:
    """A generator, its adversary and what resumes them."""

    def __init__(self, plan: GeneratorPlan, pictures: np.ndarray):
        torch.manual_seed(plan.seed)
        self.plan, self.pictures = plan, pictures
        self.generator = SceneGenerator().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        classifier = load_model("scenenet")
        self.adversary = Adversary(classifier).to(memory_format=torch.channels_last)
        rates = {"betas": (0.0, 0.99)}
        judged = [p for p in self.adversary.parameters() if p.requires_grad]
        self.makes = torch.optim.Adam(self.generator.parameters(), lr=plan.rate, **rates)  # type: ignore[arg-type]
        self.judges = torch.optim.Adam(judged, lr=plan.judge_rate, **rates)  # type: ignore[arg-type]
        self.dice = torch.Generator().manual_seed(plan.seed)
        self.step, self.seconds = 0, 0.0
        self.adversary.learn_scales([self.real(32) for _ in range(8)])

    def real(self, count: int) -> Tensor:
        """Some pictures of the world, mirrored at random: float32 (count, 3, S, S)."""
        rows = torch.randint(0, len(self.pictures), (count,), generator=self.dice).numpy()
        images = torch.from_numpy(self.pictures[np.sort(rows)]).permute(0, 3, 1, 2).float() / 255
        flip = torch.rand(count, generator=self.dice) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)

    def latents(self) -> Tensor:
        return torch.randn(self.plan.batch, *self.generator.latent_shape, generator=self.dice)

    def once(self) -> dict[str, float]:
        """One step of the adversary and one of the generator, both from the same pictures and the same features."""
        plan, z = self.plan, self.latents()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made, active = self._made(z)
            features = self.adversary.features(changed_alike(made, self.dice))
            with torch.no_grad():
                real = self.adversary.features(changed_alike(self.real(plan.batch), self.dice))
            said_real = self.adversary.judge(real).float()
            said_made = self.adversary.judge([one.detach() for one in features]).float()
            loss = (1 - said_real).relu().mean() + (1 + said_made).relu().mean()
            fooled = -self.adversary.judge(features).float().mean()
        apart = (made - made.roll(1, 0)).abs().mean((1, 2, 3)) / (z - z.roll(1, 0)).abs().mean(1)
        made_loss = fooled + plan.variety / (apart.mean() + 0.02)
        if self.settled > 0:
            made_loss = made_loss + plan.sparsity * active
        own = list(self.generator.parameters())
        for parameter, gradient in zip(own, torch.autograd.grad(made_loss, own), strict=True):
            parameter.grad = gradient
        loss.backward()
        for optimiser, rate in ((self.judges, plan.judge_rate), (self.makes, plan.rate)):
            optimiser.param_groups[0]["lr"] = rate * (1 - 0.9 * self.settled)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return {name: float(value.detach().mean()) for name, value in
                {"judges": loss, "fooled": fooled, "apart": apart, "active": active}.items()}  # fmt: skip

    @property
    def settled(self) -> float:
        """How much of the last part of the training is over, 0 to 1."""
        return max(0.0, 1 - (self.plan.steps - self.step) / max(1, self.plan.settle))

    def _made(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S), and the mean absolute activation of `SPARSE`, whose mean square is 1."""
        values, active = z, []
        for name, layer in self.generator.named_children():
            values = layer(values)
            if name in SPARSE:
                active.append(values.float().abs().mean())
        return values.float(), torch.stack(active).mean()

    @torch.no_grad()
    def _average(self) -> None:
        share = min(self.plan.averaging, self.step / (self.step + 10))
        for kept, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            kept.lerp_(now, 1 - share)

    def state(self) -> dict[str, object]:
        return {
            "plan": asdict(self.plan), "world": WORLD, "step": self.step, "seconds": self.seconds,
            "generator": self.generator.state_dict(), "average": self.average.state_dict(),
            "adversary": self.adversary.state_dict(), "makes": self.makes.state_dict(),
            "judges": self.judges.state_dict(), "dice": self.dice.get_state(),
        }  # fmt: skip

    def resume(self, state: dict[str, object]) -> None:
        self.step, self.seconds = int(state["step"]), float(state["seconds"])  # type: ignore[call-overload,arg-type]
        for name in ("generator", "average", "adversary", "makes", "judges"):
            getattr(self, name).load_state_dict(state[name])
        self.dice.set_state(state["dice"])  # type: ignore[arg-type]


def train_generator(plan: GeneratorPlan, work: Path, output: Path, seconds: float = float("inf")) -> Path | None:
    """Trains SceneGenerator and writes scenegenerator.safetensors (float16); resumes from the last checkpoint.

    seconds: how long this call may take; None is returned where that was too short.
    """
    work.mkdir(parents=True, exist_ok=True)
    pictures, _ = rendered_scenes(work, plan.images, SEEDS["train"], plan.size, family="village")
    training, checkpoint = Training(plan, pictures), work / "generator.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        free = {"steps": plan.steps, "measured": plan.measured}  # what a run may be continued with
        if state["world"] == WORLD and {**state["plan"], **free} == asdict(plan):
            training.resume(state)
    start = time.perf_counter()
    sums: dict[str, float] = {}
    while training.step < plan.steps:
        begun = time.perf_counter()
        for name, value in training.once().items():
            sums[name] = sums.get(name, 0.0) + value / SAVED
        training.seconds += time.perf_counter() - begun
        if training.step % SAVED == 0 or training.step == plan.steps:
            _save(training, checkpoint, work, sums)
            sums = {}
        if time.perf_counter() - start > seconds:
            return None
    output.mkdir(parents=True, exist_ok=True)
    return write_weights(training, work, output, plan.measured)


def _save(training: Training, checkpoint: Path, work: Path, sums: dict[str, float]) -> None:
    torch.save(training.state(), checkpoint.with_suffix(".new"))
    checkpoint.with_suffix(".new").replace(checkpoint)
    line = json.dumps({"step": training.step, "seconds": round(training.seconds),
                       **{name: round(value, 3) for name, value in sums.items()}})  # fmt: skip
    print(line, flush=True)
    with (work / "generator.jsonl").open("a") as file:
        file.write(line + "\n")
    sheet(training.average).save(work / "samples.png")


@torch.no_grad()
def sheet(generator: SceneGenerator, count: int = 64, across: int = 16, seed: int = 0) -> Image.Image:
    """Unpicked samples as one picture."""
    made = generator.generate(generator.latents(count, seed))
    rows = (255 * made).round().byte().permute(0, 2, 3, 1).numpy()
    lines = [np.concatenate(list(rows[first : first + across]), 1) for first in range(0, count, across)]
    return Image.fromarray(np.concatenate(lines, 0))


def write_weights(training: Training, work: Path, output: Path, measured: int = MEASURED) -> Path:
    """The averaged weights in half precision, and their card. measured: generated pictures that it looks at."""
    half = {name: value.half().contiguous() for name, value in training.average.state_dict().items()}
    path = output / "scenegenerator.safetensors"
    header = {"world": WORLD, "plan": asdict(training.plan), "widths": training.generator.widths,
              "latent": training.generator.latent_shape[0], "steps": training.step}  # fmt: skip
    save_file(half, str(path), metadata={"unitlens": json.dumps(header)})
    path.chmod(0o644)
    shipped = SceneGenerator().eval()
    shipped.load_state_dict({name: value.float() for name, value in half.items()})
    world, _ = rendered_scenes(work, 2 * measured, SEEDS["validation"], training.plan.size, family="village")
    card = generator_card(shipped, world, asdict(training.plan), training.step, training.seconds)
    write_generator_card(output, card)
    sheet(shipped).convert("RGB").save(output / "scenegenerator.jpg", quality=88)
    return path
