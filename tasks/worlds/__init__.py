"""Analytic worlds: effects known by construction, to score designs, estimators and decisions against the truth."""
