"""Scores of a checkpoint on held-out examples, per category."""
