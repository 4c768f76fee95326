"""Scenes of nature: beach, lake, forest, snow slope, farm, park and desert."""

from __future__ import annotations

from collections.abc import Callable

from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.buildings import building
from unitlens.data.world.canvas import Canvas, mix
from unitlens.data.world.church import church
from unitlens.data.world.creatures import duck
from unitlens.data.world.dice import Dice
from unitlens.data.world.land import ground, hills, mountains, pool, ridge, strip, water
from unitlens.data.world.outings import (
    DUNES,
    FARMYARD,
    GARDENS,
    LAKESIDE,
    SEASIDE,
    SLOPE,
    WOODS,
    fir,
    flying,
    leafy,
    shrub,
)
from unitlens.data.world.plants import bare_tree, cactus, conifer, far_tree, palm
from unitlens.data.world.stage import Draw, Stage, built, plain
from unitlens.data.world.street import fence, pier


def _finish(stage: Stage, frame: Draw | None = None, share: float = 0.28) -> None:
    """Paints the things, perhaps birds and something close by at the edge, and the light."""
    out, dice = stage.out, stage.dice
    if frame is not None and dice.chance(share):
        x = dice.pick((dice.uniform(-0.08, 0.1), dice.uniform(0.9, 1.08)))
        stage.add(frame, x, dice.uniform(0.98, 1.12), dice.uniform(1.0, 1.4), 0.5)
    stage.paint()
    if dice.chance(0.25):
        for _ in range(dice.integer(1, 4)):
            x, y = dice.uniform(), out.horizon * dice.uniform(0.2, 0.9)
            flying(out.canvas.at(x, y, dice.uniform(0.02, 0.05)), dice, stage)
    out.finish()


def beach(canvas: Canvas, dice: Dice) -> None:
    """The sea, a strip of sand and the people on it."""
    out = Outdoors(canvas, dice, season=dice.pick(("summer", "spring", "autumn"), (0.7, 0.2, 0.1)))
    out.sky()
    h, shore, slope = out.horizon, dice.uniform(0.0, 1.0), dice.pick((0.0, dice.uniform(-0.22, 0.22)))
    shore = h + 0.08 + abs(slope) / 2 + (0.24 - abs(slope) / 2) * shore
    if dice.chance(0.35):
        (mountains if dice.chance(0.4) else hills)(out, h + 0.01)
    water(out, h, min(1.0, shore + 0.2), "sea")
    stage = Stage(
        out,
        {
            "water": (h + 0.02, max(h + 0.03, shore - abs(slope) / 2 - 0.02)),
            "shore": (shore + 0.06, shore + 0.2),
            "land": (shore + 0.1, 1.0),
        },
    )
    line = [(x, y + slope * (x - 0.5)) for x, y in ridge(out, shore, 0.012)]
    boats = [e for e in SEASIDE if e[3] == "water"]
    stage.fill(boats)
    stage.paint()
    stage.things.clear()
    pen = canvas.pen()
    ground(out, "sand", shore, swing=0.014, slope=slope, dapple=False)
    pen.polygon([*line, *((x, y + 0.03) for x, y in line[::-1])], (188, 160, 116), "sand", material="sand")
    pen.line([(x, y + 0.004) for x, y in line], 0.012, (248, 250, 250), "sea", material="water")
    pen.line([(x, y - 0.02) for x, y in line[3:-6]], 0.005, (226, 240, 244), "sea", material="water")
    stage.fill([e for e in SEASIDE if e[3] != "water"])
    if dice.chance(0.15):
        stage.add(plain(pier), dice.uniform(0.2, 0.8), shore + 0.06, 0.35)
    _finish(stage, plain(palm), 0.2)


def lake(canvas: Canvas, dice: Dice) -> None:
    """Still water between mountains or hills, with a wooded shore."""
    out = Outdoors(canvas, dice)
    out.sky()
    h = out.horizon
    snowy = out.season == "winter" and dice.chance(0.7)
    if dice.chance(0.62):
        mountains(out, h)
    if dice.chance(0.7):
        hills(out, h + 0.015, layers=dice.integer(1, 3), kind="snow" if snowy else None, wooded=0.8)
    bank = dice.uniform(max(h + 0.24, 0.72), 0.97)
    stage = Stage(
        out, {"far": (h + 0.012, h + 0.03), "water": (h + 0.08, bank - 0.02), "bank": (bank + 0.02, 1.06)}, snowy
    )
    ground(out, "snow" if snowy else "grass", h + 0.005, h + 0.04, swing=0.006, dapple=False)
    stage.fill([e for e in LAKESIDE if e[3] == "far"])
    stage.paint()
    stage.things.clear()
    water(out, h + 0.035, 1.0, "lake water", mirror=0.0 if out.mood == "grey" else dice.uniform(0.35, 0.75))
    stage.fill([e for e in LAKESIDE if e[3] == "water"])
    stage.paint()
    stage.things.clear()
    kind = "snow" if snowy else dice.pick(("grass", "sand", "earth"), (0.76, 0.14, 0.1))
    ground(out, kind, bank, swing=0.022, slope=dice.uniform(-0.12, 0.12), dapple=False)
    stage.fill([e for e in LAKESIDE if e[3] == "bank"])
    if dice.chance(0.25):
        stage.add(plain(pier), dice.uniform(0.2, 0.8), bank + 0.04, 0.3)
    _finish(stage, dice.pick((leafy, fir)), 0.2)


def _thicket(out: Outdoors, top: float, snowy: bool, firs: bool) -> None:
    """Rows of trunks and crowns that close the view of a forest."""
    dice, canvas = out.dice, out.canvas
    for row in range(3):
        haze, y = 0.62 - 0.2 * row, top + 0.035 * row + 0.02
        for k in range(7 - row):
            x, height = (k + dice.uniform(0, 1)) / (6.6 - row), dice.uniform(0.8, 1.15) * (0.45 + 0.14 * row)
            pen = canvas.at(x, y, height, flip=dice.chance(0.5)).hazed(mix(out.haze, (120, 150, 110), 0.35), haze)
            if dice.chance(0.9 if firs else 0.08):
                conifer(pen, dice, snowy)
            elif out.season == "winter":
                bare_tree(pen, dice, snowy=snowy)
            else:
                far_tree(pen, dice, "blossom" if out.season == "spring" and dice.chance(0.15) else out.season)


def forest(canvas: Canvas, dice: Dice) -> None:
    """Trees, trees, trees, and light that falls between them."""
    out = Outdoors(canvas, dice)
    out.sky()
    snowy, firs, top = out.season == "winter" and dice.chance(0.7), dice.chance(0.4), out.horizon + 0.02
    if dice.chance(0.2):
        mountains(out, out.horizon)
    ground(out, "snow" if snowy else dice.pick(("forest floor", "grass"), (0.55, 0.45)), top, swing=0.02)
    _thicket(out, top, snowy, firs)
    if dice.chance(0.45):
        strip(out, dice.pick(("path", "river", "earth"), (0.65, 0.2, 0.15)), top + 0.06, width=dice.uniform(0.25, 0.6))
    stage = Stage(out, {"land": (top + 0.14, 1.02)}, snowy)
    for _ in range(dice.integer(3, 7)):
        x, y = dice.uniform(), dice.uniform(top + 0.08, 0.98)
        kind = fir if dice.chance(0.85 if firs else 0.12) else leafy
        stage.add(kind, x, y, dice.uniform(1.0, 1.5), 0.7)
    stage.fill(WOODS)
    stage.paint()
    stage.things.clear()
    if out.strong and dice.chance(0.6):
        for _ in range(dice.integer(2, 4)):  # shafts of light
            x, w, lean = dice.uniform(0, 1), dice.uniform(0.03, 0.08), (out.sun_x - 0.5) * 0.8
            canvas.glow(
                [(x + lean, -0.1), (x + lean + w, -0.1), (x + w * 1.8, 0.95), (x - w, 0.95)],
                (255, 246, 190),
                0.2,
                blur=0.03,
            )
    _finish(stage, fir if firs else leafy, 0.4)


def snow_slope(canvas: Canvas, dice: Dice) -> None:
    """A slope under snow, below mountains."""
    out = Outdoors(canvas, dice, season="winter")
    out.sky()
    h, slope = out.horizon, dice.uniform(-0.3, 0.3)
    if dice.chance(0.75):
        mountains(out, h + 0.04, snowy=True, height=dice.uniform(0.2, 0.4))
    if dice.chance(0.55):
        hills(out, h + 0.04, layers=dice.integer(1, 3), kind="snow", wooded=0.6)
    ground(out, "snow", h + 0.03, swing=0.02, slope=slope * 0.3)
    for _ in range(dice.integer(1, 3)):  # shaded folds of the slope
        line = [(x, y + slope * (x - 0.5)) for x, y in ridge(out, dice.uniform(h + 0.2, 0.95), 0.03)]
        canvas.shade([*line, (1.1, 1.1), (-0.1, 1.1)], dice.uniform(0.05, 0.12), blur=0.012)
    top = h + 0.05 + abs(slope) * 0.15
    stage = Stage(out, {"back": (top + 0.02, top + 0.16), "land": (top, 1.0)}, True)
    stage.fill(SLOPE)
    if dice.chance(0.25):
        stage.add(lambda pen, d, s: fence(out, pen.place(0, 0)[1]), 0.5, dice.uniform(top + 0.1, 0.95), 0.2)
    _finish(stage, fir, 0.3)


def farm(canvas: Canvas, dice: Dice) -> None:
    """Fields and meadows with a farm's buildings, animals and machines."""
    out = Outdoors(canvas, dice)
    out.sky()
    h, snowy = out.horizon, out.season == "winter" and dice.chance(0.55)
    if dice.chance(0.25):
        mountains(out, h)
    if dice.chance(0.75):
        hills(out, kind="snow" if snowy else None)
    base = "snow" if snowy else dice.pick(("grass", "dry grass", "crop", "field", "earth"), (0.42, 0.1, 0.2, 0.2, 0.08))
    ground(out, base, h + 0.03, swing=0.012)
    if dice.chance(0.45):
        ground(
            out,
            dice.pick(("crop", "field", "grass", "dry grass")),
            dice.uniform(h + 0.16, 0.85),
            swing=0.015,
            slope=dice.uniform(-0.2, 0.2),
            dapple=False,
        )
    if dice.chance(0.3):
        strip(
            out,
            dice.pick(("path", "earth", "river", "road"), (0.6, 0.2, 0.1, 0.1)),
            h + 0.035,
            width=dice.uniform(0.15, 0.4),
        )
    stage = Stage(out, {"back": (h + 0.06, h + 0.2), "land": (h + 0.16, 1.0)}, snowy)
    stage.fill(FARMYARD)
    if dice.chance(0.5):
        stage.add(
            lambda pen, d, s: fence(out, pen.place(0, 0)[1]), 0.5, dice.pick((dice.uniform(h + 0.15, 0.9), 0.98)), 0.2
        )
    _finish(stage, leafy, 0.2)


def park(canvas: Canvas, dice: Dice) -> None:
    """Lawns, trees, paths and everything people do there."""
    out = Outdoors(canvas, dice)
    out.sky()
    h, snowy = out.horizon, out.season == "winter" and dice.chance(0.5)
    if dice.chance(0.3):
        hills(out, layers=dice.integer(1, 2))
    stage = Stage(out, {"far": (h + 0.035, h + 0.045), "mid": (h + 0.12, h + 0.32), "land": (h + 0.1, 1.0)}, snowy)
    if dice.chance(0.45):
        stage.fill([(built(building), 0.9, (2, 3), "far", 2.4, 0.0), (built(church), 0.2, (1, 1), "far", 2.6, 0.0)])
    stage.fill([(leafy, 0.8, (3, 7), "far", 1.6, 0.0), (shrub, 0.6, (3, 6), "far", 0.6, 0.0)])
    stage.paint()
    stage.things.clear()
    ground(out, "snow" if snowy else dice.pick(("grass", "pavement"), (0.93, 0.07)), h + 0.04, swing=0.01)
    if dice.chance(0.68):
        strip(
            out, dice.pick(("path", "pavement", "river"), (0.65, 0.25, 0.1)), h + 0.045, width=dice.uniform(0.25, 0.7)
        )
    if dice.chance(0.33):
        x, y, r = dice.uniform(0.15, 0.85), dice.uniform(h + 0.2, 0.9), dice.uniform(0.16, 0.34)
        pool(out, x, y, r, r * dice.uniform(0.22, 0.34))
        for _ in range(dice.integer(0, 4)):
            stage.add(plain(duck), x + dice.uniform(-0.6, 0.6) * r, y + dice.uniform(-0.1, 0.1) * r, 0.12)
    stage.fill(GARDENS)
    if dice.chance(0.2):
        stage.add(
            lambda pen, d, s: fence(out, pen.place(0, 0)[1]), 0.5, dice.pick((dice.uniform(h + 0.08, 0.7), 0.98)), 0.2
        )
    _finish(stage, leafy, 0.4)


def desert(canvas: Canvas, dice: Dice) -> None:
    """Sand and stone under a wide sky."""
    out = Outdoors(canvas, dice, season=dice.pick(("summer", "autumn"), (0.7, 0.3)))
    out.sky()
    h = out.horizon
    if dice.chance(0.55):
        mountains(out, h + 0.02, red=dice.chance(0.75), snowy=False, height=dice.uniform(0.1, 0.3))
    if dice.chance(0.7):
        hills(out, h + 0.05, kind="desert", layers=dice.integer(1, 3), wooded=0.0)
    ground(out, dice.pick(("desert", "sand", "earth"), (0.72, 0.2, 0.08)), h + 0.04, swing=0.015)
    for _ in range(dice.integer(0, 3)):  # the shaded sides of dunes
        line = [(x, y + dice.uniform(-0.002, 0.002)) for x, y in ridge(out, dice.uniform(h + 0.15, 0.95), 0.05)]
        canvas.shade([*line, *((x, y + 0.05 + 0.06 * x) for x, y in line[::-1])], dice.uniform(0.1, 0.2), blur=0.008)
    if road := dice.chance(0.25):
        strip(out, dice.pick(("road", "path"), (0.6, 0.4)), h + 0.045, width=dice.uniform(0.2, 0.5))
    stage = Stage(
        out, {"back": (h + 0.06, h + 0.12), "mid": (h + 0.1, h + 0.32), "land": (h + 0.1, 1.0), "dune": (h, 1.0)}
    )
    if not road and dice.chance(0.22):
        y = dice.uniform(h + 0.16, 0.85)
        pool(out, dice.uniform(0.2, 0.8), y, dice.uniform(0.18, 0.3), dice.uniform(0.03, 0.07))
    stage.fill(DUNES)
    _finish(stage, plain(cactus), 0.1)


CLASSES: dict[str, Callable[[Canvas, Dice], None]] = {
    "beach": beach,
    "lake": lake,
    "forest": forest,
    "snow slope": snow_slope,
    "farm": farm,
    "park": park,
    "desert": desert,
}
