"""Interventions on the training set's category counts, and the ordered training sets they give."""
