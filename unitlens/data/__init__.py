"""Probe sets, concepts and the world."""
