"""Choose a training set from a pool by quality (Deita), at random, or by length."""
