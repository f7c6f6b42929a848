"""Fine-tuning: a specification in, a checkpoint and its training record out. Runs on the GPU workers."""
