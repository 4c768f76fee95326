"""The procedural world: what is in it and how it is drawn."""
