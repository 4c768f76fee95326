"""python -m unitlens.train classifier: rebuilds a shipped weight file from nothing."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from unitlens.train.classifier import Plan, train_classifier


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m unitlens.train", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    classifier = commands.add_parser("classifier", help="SceneNet, from scenes and their class names alone")
    work = Path("unitlens-training/classifier")
    classifier.add_argument("--work", type=Path, default=work, help="checkpoints and log")
    classifier.add_argument("--output", type=Path, help="folder of the finished files (default: in --work)")
    for field in dataclasses.fields(Plan):
        flag = "--" + field.name.replace("_", "-")
        kind = type(field.default)
        classifier.add_argument(flag, type=kind, default=field.default, help=f"default {field.default}")
    options = vars(parser.parse_args())
    plan = Plan(**{field.name: options[field.name] for field in dataclasses.fields(Plan)})
    train_classifier(plan, options["work"], options["output"] or options["work"])


if __name__ == "__main__":
    main()
