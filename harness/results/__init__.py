"""Verdicts: how they are reached, kept and shown."""
