"""Photometry on mosaics: sources, magnitudes in matched apertures, colours, the colour-magnitude relation."""

from labkit.photometry.catalogues import colours, magnitude_at, match, redshift_offset
from labkit.photometry.extraction import extract
from labkit.photometry.red_sequence import ColourMagnitude, red_sequences
