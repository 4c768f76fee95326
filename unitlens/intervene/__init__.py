"""Interventions: what changes when units are switched off or on."""
