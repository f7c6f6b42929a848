"""Effect-equivalence category proportions as a linear program, with a certificate."""
