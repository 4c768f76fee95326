"""unitlens: see what single units of a deep network do.

Words. A *unit* is one channel of a layer's output; a *layer* is a module by its dotted name. A *probe set* is the
images a dissection is measured over; a *segmentation* says which *concepts* (name and *category*: object, part,
material, colour) each pixel shows. The *quantile* is a level: 0.99 keeps the top 1 % of a unit's pixels; the
*threshold* is the activation found there. *IoU* is the overlap of the pixels where a unit fires with those of a
concept, pooled over the probe set; a *detector* is a unit whose best IoU is at least `min_iou`. A *dissection* is the
result.

Shapes. B images of a batch, N of a probe set, U units, C concepts, G categories, K label planes, H x W pixels, h x w
cells of an activation grid.

>>> import unitlens as ul
>>> found = ul.dissect(ul.load_model("scenenet"), "conv5_3", ul.load_probe("scenes", count=36), show_progress=False)
>>> found.layer().units
160
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unitlens.errors import UnitLensError as UnitLensError
from unitlens.rich import view_modules

__version__ = "0.1.0"
view_modules.append("unitlens.display")

#: Public name -> the module that holds it; modules are imported when a name is first used.
_HOMES = {
    "Ablate": "unitlens.intervene.edits",
    "AblationCurve": "unitlens.intervene.curve",
    "ArrayProbe": "unitlens.data.probe",
    "Artefacts": "unitlens.synthesis.artefact",
    "Batch": "unitlens.data.probe",
    "CausalUnits": "unitlens.synthesis.ranked",
    "ColourNames": "unitlens.segment.colours",
    "Concept": "unitlens.data.concepts",
    "ContentEffect": "unitlens.synthesis.content",
    "Custom": "unitlens.segment.custom",
    "Dissection": "unitlens.dissection.result",
    "Edits": "unitlens.intervene.edits",
    "Effect": "unitlens.intervene.effect",
    "Importance": "unitlens.intervene.importance",
    "Insert": "unitlens.intervene.edits",
    "Insertions": "unitlens.synthesis.insertion",
    "Look": "unitlens.dissection.looked",
    "Normalize": "unitlens.models.preprocess",
    "ProbeSet": "unitlens.data.probe",
    "RemovalCurve": "unitlens.synthesis.removal",
    "Roles": "unitlens.intervene.roles",
    "Samples": "unitlens.models.samples",
    "Scale": "unitlens.intervene.edits",
    "SceneLabels": "unitlens.segment.scenes",
    "Segmentation": "unitlens.data.segmentation",
    "Store": "unitlens.store",
    "Truth": "unitlens.segment.truth",
    "UnitDetector": "unitlens.intervene.detector",
    "UnitLensError": "unitlens.errors",
    "Vocabulary": "unitlens.data.concepts",
    "ablation_curve": "unitlens.intervene.removing",
    "artefact_units": "unitlens.synthesis.finding",
    "as_generator": "unitlens.models.generators",
    "bench": "unitlens.widgets.benching",
    "browse": "unitlens.widgets.browser",
    "capture": "unitlens.models.capture",
    "causal_units": "unitlens.synthesis.causal",
    "dissect": "unitlens.dissection.engine",
    "edit": "unitlens.models.capture",
    "from_dataset": "unitlens.data.dataset",
    "from_folder": "unitlens.data.folder",
    "from_generator": "unitlens.models.samples",
    "insertion_map": "unitlens.synthesis.inserting",
    "join": "unitlens.segment.segmenter",
    "layer_table": "unitlens.models.layertable",
    "layers": "unitlens.models.capture",
    "lens": "unitlens.widgets.lens",
    "load": "unitlens.dissection.result",
    "load_model": "unitlens.models.zoo",
    "load_probe": "unitlens.data.catalogue",
    "load_progressive": "unitlens.models.proggan",
    "look": "unitlens.dissection.look",
    "measure": "unitlens.intervene.effects",
    "measure_content": "unitlens.synthesis.changing",
    "model_card": "unitlens.models.zoo",
    "principal_axes": "unitlens.models.basis",
    "random_rotation": "unitlens.models.basis",
    "rank_units": "unitlens.intervene.ranking",
    "removal_curve": "unitlens.synthesis.removing",
    "render_scene": "unitlens.data.scenes",
    "report": "unitlens.display.report",
    "roles": "unitlens.intervene.roles",
    "split": "unitlens.models.capture",
    "unit_detector": "unitlens.intervene.detecting",
    "upsample": "unitlens.models.upsample",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from unitlens.data.catalogue import load_probe as load_probe
    from unitlens.data.concepts import Concept as Concept
    from unitlens.data.concepts import Vocabulary as Vocabulary
    from unitlens.data.dataset import from_dataset as from_dataset
    from unitlens.data.folder import from_folder as from_folder
    from unitlens.data.probe import ArrayProbe as ArrayProbe
    from unitlens.data.probe import Batch as Batch
    from unitlens.data.probe import ProbeSet as ProbeSet
    from unitlens.data.scenes import render_scene as render_scene
    from unitlens.data.segmentation import Segmentation as Segmentation
    from unitlens.display.report import report as report
    from unitlens.dissection.engine import dissect as dissect
    from unitlens.dissection.look import look as look
    from unitlens.dissection.looked import Look as Look
    from unitlens.dissection.result import Dissection as Dissection
    from unitlens.dissection.result import load as load
    from unitlens.intervene.curve import AblationCurve as AblationCurve
    from unitlens.intervene.detecting import unit_detector as unit_detector
    from unitlens.intervene.detector import UnitDetector as UnitDetector
    from unitlens.intervene.edits import Ablate as Ablate
    from unitlens.intervene.edits import Edits as Edits
    from unitlens.intervene.edits import Insert as Insert
    from unitlens.intervene.edits import Scale as Scale
    from unitlens.intervene.effect import Effect as Effect
    from unitlens.intervene.effects import measure as measure
    from unitlens.intervene.importance import Importance as Importance
    from unitlens.intervene.ranking import rank_units as rank_units
    from unitlens.intervene.removing import ablation_curve as ablation_curve
    from unitlens.intervene.roles import Roles as Roles
    from unitlens.intervene.roles import roles as roles
    from unitlens.models.basis import principal_axes as principal_axes
    from unitlens.models.basis import random_rotation as random_rotation
    from unitlens.models.capture import capture as capture
    from unitlens.models.capture import edit as edit
    from unitlens.models.capture import layers as layers
    from unitlens.models.capture import split as split
    from unitlens.models.generators import as_generator as as_generator
    from unitlens.models.layertable import layer_table as layer_table
    from unitlens.models.preprocess import Normalize as Normalize
    from unitlens.models.proggan import load_progressive as load_progressive
    from unitlens.models.samples import Samples as Samples
    from unitlens.models.samples import from_generator as from_generator
    from unitlens.models.upsample import upsample as upsample
    from unitlens.models.zoo import load_model as load_model
    from unitlens.models.zoo import model_card as model_card
    from unitlens.segment.colours import ColourNames as ColourNames
    from unitlens.segment.custom import Custom as Custom
    from unitlens.segment.scenes import SceneLabels as SceneLabels
    from unitlens.segment.segmenter import join as join
    from unitlens.segment.truth import Truth as Truth
    from unitlens.store import Store as Store
    from unitlens.synthesis.artefact import Artefacts as Artefacts
    from unitlens.synthesis.causal import causal_units as causal_units
    from unitlens.synthesis.changing import measure_content as measure_content
    from unitlens.synthesis.content import ContentEffect as ContentEffect
    from unitlens.synthesis.finding import artefact_units as artefact_units
    from unitlens.synthesis.inserting import insertion_map as insertion_map
    from unitlens.synthesis.insertion import Insertions as Insertions
    from unitlens.synthesis.ranked import CausalUnits as CausalUnits
    from unitlens.synthesis.removal import RemovalCurve as RemovalCurve
    from unitlens.synthesis.removing import removal_curve as removal_curve
    from unitlens.widgets.benching import bench as bench
    from unitlens.widgets.browser import browse as browse
    from unitlens.widgets.lens import lens as lens


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unitlens' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":  # a torch that is there but broken says itself what it lacks
            raise
        raise UnitLensError(
            f"{name} needs torch, which is not installed; saved dissections open and show themselves without it. "
            "Install it with: python -m pip install torch"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
