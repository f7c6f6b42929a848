"""The pool of instructions: read, checked, hashed, split into training and held-out parts."""
