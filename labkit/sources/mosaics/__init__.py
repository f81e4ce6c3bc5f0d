"""Mosaics of a field in several bands: opened without reading pixels, on one grid or on several."""

from __future__ import annotations

from labkit.sources.mosaics.file import Mosaic, ab_zero_point, open_mosaic
from labkit.sources.mosaics.mosaics import Mosaics, annulus_shares, on_one_scale, read_mosaics
from labkit.sources.mosaics.registration import extract_mosaics, registered

__all__ = [
    "Mosaic",
    "Mosaics",
    "ab_zero_point",
    "annulus_shares",
    "extract_mosaics",
    "on_one_scale",
    "open_mosaic",
    "read_mosaics",
    "registered",
]
