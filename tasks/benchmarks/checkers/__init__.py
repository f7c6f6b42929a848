"""Checks of generated answers: numbers, choices, patterns, and programs run against unit tests."""
