"""Give every instruction of a pool a category and a confidence: by a model trained on a few, by meaning, by an LLM."""
