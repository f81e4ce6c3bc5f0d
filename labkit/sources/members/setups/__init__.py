"""Set-ups of experiments on members: who takes part, what is trained on, as columns of one Sample."""

from __future__ import annotations

from labkit.sources.members.setups.configurations import with_configurations
from labkit.sources.members.setups.counts import setup_counts, split_counts
from labkit.sources.members.setups.growing import with_growing_sets
from labkit.sources.members.setups.ranges import with_training_ranges
from labkit.sources.members.setups.redshift_bins import bin_names, with_redshift_bins

__all__ = [
    "bin_names",
    "setup_counts",
    "split_counts",
    "with_configurations",
    "with_growing_sets",
    "with_redshift_bins",
    "with_training_ranges",
]
