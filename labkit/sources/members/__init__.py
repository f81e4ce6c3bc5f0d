"""Cluster members: cut-outs of catalogued sources from mosaics, with membership from redshifts or a flag."""

from labkit.sources.members.catalogue import catalogue_labels, velocity
from labkit.sources.members.fields import (
    ListedField,
    annulus_coverage,
    counts_table,
    field_sources,
    read_fields,
    write_fields,
)
from labkit.sources.members.photometry import field_catalogue, measure_fields
from labkit.sources.members.sample import fields_sample, members_sample
from labkit.sources.members.setups import (
    redshift_bins,
    setup_counts,
    split_counts,
    with_configurations,
    with_setups,
)
