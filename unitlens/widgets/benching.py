"""bench: opens the bench that fits what it is given: a classifier with images, or a generator with its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unitlens.data.probe import ProbeSet
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.importance import Importance
from unitlens.intervene.ranking import rank_units
from unitlens.intervene.workbench import Workbench
from unitlens.models.samples import Samples
from unitlens.store import Store
from unitlens.synthesis.ranked import CausalUnits
from unitlens.synthesis.stage import Stage
from unitlens.widgets.bench import STATE, Bench
from unitlens.widgets.benchdata import BenchData
from unitlens.widgets.stagebench import STATE as STAGE_STATE
from unitlens.widgets.stagebench import StageBench

if TYPE_CHECKING:
    from torch import nn


def bench(
    model: nn.Module,
    layer: str,
    probe: ProbeSet,
    dissection: Dissection | None = None,
    *,
    ranking: Importance | CausalUnits | Sequence[CausalUnits] | None = None,
    classes: Mapping[str, Sequence[int]] | None = None,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
    segmenter: Any = None,
    **traits: Any,
) -> Bench | StageBench:
    """Opens the ablation bench: choose units, drag how many are switched off or how far they are scaled, and see what
    each class loses at once, what it is taken for, and which pictures change their answer.

    model, layer, probe: as in `measure`; the images are held at the layer (at most 2 GB), so take a thousand or so.
    dissection: of the same model; lets units be chosen by concept and tells what each detects. ranking: from
    `rank_units`, best on training images; without one, units are ranked on these same images, which flatters.
    classes, unit_axis, preprocess, batch_size, store: as in `measure`.

    For a generator, probe: samples of it (see `from_generator`; the first 12 are on view), and dissection: of them. The
    view is then another one: choose a concept, drag how many of its units are removed or inserted and how strongly,
    everywhere or at one place, and see the pictures change; see `StageBench`. segmenter: as in `measure_content`.
    ranking: what `causal_units` gives for one concept or several; the others' units come by their IoU.

    traits: what the view starts with, such as
    name="beach", count=20; see `Bench`.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=72)
    >>> view = ul.bench(model, "conv5_3", probe, show_progress=False, name="beach", count=20)
    >>> len(view.units), view.effect.top1[1] < view.effect.top1[0]
    (20, True)

    Raises LayerNotFound, OptionError, ProbeError, RecipeMismatch (a ranking or dissection of something else).
    """
    if isinstance(probe, Samples):
        return _stage(model, layer, probe, dissection, ranking, segmenter, traits)
    unknown = [name for name in traits if name not in (*STATE, "measure", "shown", "layout")]
    if unknown:
        raise OptionError(f"bench: unknown option {unknown[0]!r}; expected one of {', '.join((*STATE, 'measure'))}")
    if dissection is not None and not isinstance(dissection, Dissection):
        raise OptionError(f"dissection: expected what `dissect` gives, got {type(dissection).__name__}")
    shared: dict[str, Any] = {"classes": classes, "unit_axis": unit_axis, "preprocess": preprocess,
                              "batch_size": batch_size, "show_progress": show_progress}  # fmt: skip
    held = Workbench(model, layer, probe, **shared)
    _check(held, ranking, dissection)
    ranked = ranking if isinstance(ranking, Importance) else rank_units(model, layer, probe, store=store, **shared)
    return Bench(BenchData(held, ranked, dissection), **traits)


def _stage(
    model: nn.Module, layer: str, samples: Samples, dissection: Dissection | None, ranking: Any, segmenter: Any,
    traits: Mapping[str, Any],
) -> StageBench:  # fmt: skip
    """The bench of a generator."""
    if model is not samples.generator:
        raise OptionError("model: expected the generator that the samples are of; pass the same object")
    if not isinstance(dissection, Dissection):
        raise OptionError(
            "dissection: the bench of a generator chooses units by concept; pass what "
            "dissect(generator, layer, samples) gives"
        )
    learnt = () if ranking is None else (ranking,) if isinstance(ranking, CausalUnits) else ranking
    if not isinstance(learnt, Sequence) or not all(isinstance(one, CausalUnits) for one in learnt):
        raise OptionError(f"ranking: the bench of a generator takes what `causal_units` gives, got {ranking!r}")
    known = (*STAGE_STATE, "look", "layout")
    unknown = [name for name in traits if name not in known]
    if unknown:
        raise OptionError(f"bench: unknown option {unknown[0]!r}; expected one of {', '.join(known)}")
    return StageBench(Stage(samples, layer, dissection, segmenter, ranking=learnt), **traits)


def _check(held: Workbench, ranking: object, dissection: Dissection | None) -> None:
    """Raises RecipeMismatch where ranking or dissection are of another layer, model or other classes."""
    if ranking is not None:
        if not isinstance(ranking, Importance):
            raise OptionError(f"ranking: expected what `rank_units` gives, got {type(ranking).__name__}")
        if (ranking.layer, ranking.units, ranking.class_names) != (held.layer, held.units, held.names):
            raise RecipeMismatch(f"ranking: it is of {ranking.layer} and {len(ranking.class_names)} classes, the bench "
                                 f"of {held.layer} and {len(held.names)}; rank the units of this layer")  # fmt: skip
    if dissection is not None:
        digest = dissection.recipe.get("model")
        other = held.source.digest is not None and digest is not None and digest != held.source.digest
        if dissection.layer(held.layer).units != held.units or other:
            raise RecipeMismatch("dissection: it is of another model than the bench's")
