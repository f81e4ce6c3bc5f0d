"""Answers of volunteers: classification exports of Zooniverse, and flat tables."""

from __future__ import annotations

from labkit.sources.zooniverse.exports import read_export, read_flat_answers
from labkit.sources.zooniverse.gathering import Export, ReadReport

__all__ = ["Export", "ReadReport", "read_export", "read_flat_answers"]
