"""Cluster members: cut-outs of catalogued sources from mosaics, with membership from redshifts or a flag."""

from __future__ import annotations

from labkit.sources.members.complete import complete_in, counts_table
from labkit.sources.members.membership import V_MAX, velocity
from labkit.sources.members.sample import fields_sample, members_sample

__all__ = ["V_MAX", "complete_in", "counts_table", "fields_sample", "members_sample", "velocity"]
