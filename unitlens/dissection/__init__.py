"""Dissection: which concepts the units of a model match."""
