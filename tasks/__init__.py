"""The work itself: one package per stage, in pipeline order.

pool → interventions → finetune → benchmarks → effects → proportions → taxonomy → curriculum →
validation → report. A stage imports only the stages before it; no stage knows Prefect or a database.
"""
