"""Candidates of clusters and the survey made of them.

One: `positions`, `candidate`, `field`. All: `plan`, `hunt_plan`, `survey`; kept on disk: `defaults`.
"""
