"""Segmenters: which concepts every pixel of a batch shows.

A segmenter is anything with a `vocabulary`, a `fingerprint` and a call from `Batch` to `Segmentation` (segmenter.py).
truth.py gives the segmentation that comes with the images, colours.py names the colours of the pixels, custom.py wraps
any function of images; `segmenter.join` puts several into one.
"""
