"""The names of everything that can be seen in the world."""

from __future__ import annotations

OBJECTS = (
    # sky and ground
    "sky", "cloud", "sun", "moon", "mountain", "hill", "sea", "lake water", "river", "sand", "grass", "earth",
    "snow", "road", "pavement", "path", "field", "rails", "platform", "pier",
    # living things
    "tree", "palm", "bush", "flower", "cactus", "rock", "person", "cow", "sheep", "dog", "bird", "duck",
    # built outdoors
    "house", "building", "church", "barn", "shop", "hut", "tower", "lighthouse", "windmill", "bridge", "fence",
    "bench", "street lamp", "traffic light", "sign", "fountain", "statue", "market stall", "awning", "umbrella", "tent",
    "haystack", "slide", "swing", "ferris wheel", "crate", "flag",
    # vehicles
    "car", "bus", "truck", "tractor", "bicycle", "train", "sailing boat", "ship", "rowing boat",
    # indoors
    "wall", "floor", "ceiling", "window pane", "door", "curtain", "rug", "picture", "mirror", "clock", "shelf", "book",
    "bed", "sofa", "armchair", "chair", "table", "desk", "cabinet", "chest of drawers", "wardrobe", "lamp",
    "television", "computer", "oven", "refrigerator", "sink", "bathtub", "toilet", "towel", "plant", "vase", "bowl",
    "fireplace", "blackboard", "cat",
)  # fmt: skip

PARTS = (
    # of plants and living things
    "trunk", "crown", "frond", "head", "torso", "legs", "arm", "tail", "wing", "blossom",
    # of buildings
    "roof", "facade", "door", "window", "chimney", "steeple", "dome", "tower", "cross", "arch", "shutter", "balcony",
    "shop front", "lantern", "sails of a windmill",
    # of vehicles and boats
    "wheel", "body", "windscreen", "headlight", "hull", "sail", "mast", "cabin", "funnel",
    # of things
    "pole", "lamp head", "shade", "frame", "leg", "top", "seat", "back", "cushion", "pillow", "blanket", "headboard",
    "drawer", "handle", "screen", "keyboard", "burner", "tap", "pot", "leaf", "basin", "canopy", "slat", "face",
)  # fmt: skip

MATERIALS = (
    "foliage", "wood", "brick", "stone", "plaster", "tile", "glass", "metal", "fabric", "water", "sand", "earth",
    "snow", "asphalt", "skin", "paper", "ceramic", "plastic", "fur", "straw", "air",
)  # fmt: skip

COLOURS = ("black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow")

CLASSES = (
    "beach", "lake", "forest", "snow slope", "farm", "park", "desert",  # scenes/nature
    "harbour", "street", "church square", "railway station", "market",  # scenes/town
    "bedroom", "kitchen", "living room", "dining room", "bathroom", "office",  # scenes/home
)  # fmt: skip
