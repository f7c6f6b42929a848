"""Curricula that change only the order of the training examples, never how often each appears."""
