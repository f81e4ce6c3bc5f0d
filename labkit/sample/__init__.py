"""The Sample, the data object that every source makes and everything else reads."""

from __future__ import annotations

from labkit.sample.sample import Sample
from labkit.sample.store import SampleWriter

__all__ = ["Sample", "SampleWriter"]
