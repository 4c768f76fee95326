"""python -m unitlens.train classifier|segmenter|generator: rebuilds a shipped weight file from nothing."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from unitlens.train.classifier import Plan, train_classifier
from unitlens.train.generator import GeneratorPlan, train_generator
from unitlens.train.segmenter import SegmenterPlan, train_segmenter

WHAT: dict[str, tuple[type, Callable[..., object], str]] = {
    "classifier": (Plan, train_classifier, "SceneNet, from scenes and their class names alone"),
    "segmenter": (SegmenterPlan, train_segmenter, "SceneSegmenter, from villages and their exact labels"),
    "generator": (GeneratorPlan, train_generator, "SceneGenerator, from villages alone; needs the two others"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m unitlens.train", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for name, (plan, _, words) in WHAT.items():
        command = commands.add_parser(name, help=words)
        work = Path("unitlens-training") / name
        command.add_argument("--work", type=Path, default=work, help="checkpoints and log")
        command.add_argument("--output", type=Path, help="folder of the finished files (default: in --work)")
        for field in dataclasses.fields(plan):
            flag = "--" + field.name.replace("_", "-")
            kind = type(field.default)
            command.add_argument(flag, type=kind, default=field.default, help=f"default {field.default}")
    options = vars(parser.parse_args())
    plan, train, _ = WHAT[options["what"]]
    chosen = plan(**{field.name: options[field.name] for field in dataclasses.fields(plan)})
    train(chosen, options["work"], options["output"] or options["work"])


if __name__ == "__main__":
    main()
