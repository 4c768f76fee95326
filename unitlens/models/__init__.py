"""Networks: their layers, activations, edits, the pixel grid, preprocessing and identity."""
