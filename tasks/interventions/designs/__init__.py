"""Experimental designs: which training sets to compare with the baseline, so that effects can be told apart.

Every design gives the baseline first. Names are systematic and unique in a design: "without reverse (size-matched)",
"reverse × 0.5 (size-matched)", "without copy and reverse (size-matched)", "factorial 03", "mixture 12". Each comes
with a summary of what it can and cannot estimate.
"""
