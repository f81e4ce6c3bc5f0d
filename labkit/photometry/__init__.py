"""Photometry on mosaics: sources, magnitudes in matched apertures, colours, the colour-magnitude relation."""

from __future__ import annotations

from labkit.photometry.colours import colours, magnitude_at, redshift_offset
from labkit.photometry.extraction import extract
from labkit.photometry.matching import match
from labkit.photometry.red_sequence import (
    ColourMagnitude,
    RedSequences,
    colour_magnitude_relation,
    differential_colour,
    red_sequences,
)
from labkit.photometry.trimmed import TrimmedFit, least_trimmed_squares

__all__ = [
    "ColourMagnitude",
    "RedSequences",
    "TrimmedFit",
    "colour_magnitude_relation",
    "colours",
    "differential_colour",
    "extract",
    "least_trimmed_squares",
    "magnitude_at",
    "match",
    "red_sequences",
    "redshift_offset",
]
