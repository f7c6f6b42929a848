"""A design that spends the next runs where they can still change the decision."""
