"""Verdicts: did the proposal and the curriculum beat their controls on fresh seeds?"""
