"""All sources of a field: found on its mosaics, with the redshifts that are known."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.photometry import match
from labkit.sources.members.columns import degrees, redshifts
from labkit.sources.mosaics import Mosaics, extract_mosaics
from labkit.tables import read_catalogue

__all__ = ["COUNTED", "POINT_LIKE", "field_catalogue"]

logger = logging.getLogger(__name__)

#: Half of a point's light lies within about 0.58 FWHM of HST's PSF (0.5 of a Gaussian).
POINT_LIKE = 0.7
#: What the table's meta counts.
COUNTED = ("detected", "spectra", "spectra_matched", "point_like_dropped")
_MEASURED = ("half_light", "kron_radius", "flags", "halo")


def field_catalogue(
    mosaics: Mosaics,
    spectroscopy: str | Path | Table | None = None,
    *,
    ra: str = "ra",
    dec: str = "dec",
    z: str = "z_spec",
    quality: str | None = None,
    radius: u.Quantity = 0.5 * u.arcsec,
    unmatched: Literal["keep", "drop"] = "keep",
    point_like: Literal["keep", "drop"] = "keep",
    **options: Any,
) -> QTable:
    """Find all sources of a field and give them the redshifts of a spectroscopic catalogue.

    The result is a catalogue for `~labkit.sources.members_sample`; its sources without redshift are the run
    set of a network (Angora et al. 2020, section 5). The paper does not say that stars were taken out of
    theirs, and none is here unless asked for: stars with spectra are non-members that a network learns from.

    Parameters
    ----------
    mosaics : Mosaics
        The bands, with zero points.
    spectroscopy : path or Table, optional
        Catalogue with redshifts. Rows without one are not looked at.
    ra, dec, z : str
        Its columns: ICRS position (degrees where there is no unit) and redshift.
    quality : str, optional
        Its column with qualities, passed on as ``z_quality``; `members_sample` decides which of them count.
    radius : Quantity
        Largest separation of a spectrum from its source. Each is used once (`~labkit.photometry.match`).
    unmatched : {"keep", "drop"}
        Keep spectra without a source as rows without magnitudes, so that no spectroscopic member is lost, or
        drop them.
    point_like : {"keep", "drop"}
        Whether to drop sources without redshift that are as narrow as a point: half of their light within
        `POINT_LIKE` times the mean FWHM of the detection bands' PSFs.
    **options
        Of `~labkit.sources.mosaics.extract_mosaics`: ``detect_on``, ``threshold``, ``deblend_contrast``,
        ``psf_fwhm_arcsec``, ``zero_points``, ``pixel_scale`` and others.

    Returns
    -------
    `~astropy.table.QTable`
        One row a source, brightest first, unmatched spectra last: ``source_id`` (numbers from 00000),
        ``ra``, ``dec``, ``z_spec`` (NaN where none), ``z_quality`` (if named), ``spectrum`` (row of the
        spectroscopic catalogue, -1 where none), ``separation`` (arcsec), ``detected`` (bool), the magnitudes
        and shapes of `~labkit.photometry.extract`, and ``point_like`` where the PSFs are known. ``meta``
        counts ``detected``, ``spectra``, ``spectra_matched`` and ``point_like_dropped``.

    Raises
    ------
    MissingDataError
        If the catalogue or a column is not there.
    InputError
        If nothing is found, the PSFs are not known but point-like sources are to be dropped, or an option is
        out of its range.
    """
    if unmatched not in ("keep", "drop") or point_like not in ("keep", "drop"):
        raise InputError(
            f"unmatched and point_like must be 'keep' or 'drop', got {unmatched!r} and {point_like!r}"
        )
    spectra = _spectra(spectroscopy, ra, dec, z, quality)
    found = extract_mosaics(mosaics, **options)
    if not len(found):
        raise InputError(
            f"no source was found on {', '.join(mosaics.bands)}; lower threshold= or min_area_px=, or name "
            "the right bands by detect_on="
        )
    magnitudes = [name for name in found.colnames if name.startswith(("mag_", "aper_"))]
    table = found[["ra", "dec", *magnitudes, *_MEASURED]]
    limit = _point_limit(mosaics, options)
    if limit is not None:
        table["point_like"] = np.asarray(table["half_light"] < limit)
    elif point_like == "drop":
        raise InputError(
            "point_like='drop' needs the widths of the PSFs, but not all headers say them; pass "
            "psf_fwhm_arcsec="
        )
    pairs = match(table, spectra, radius)
    table["detected"] = True
    whole = _with_spectra(table, spectra, pairs, keep=unmatched == "keep")
    counts = {"detected": len(found), "spectra": len(spectra), "spectra_matched": len(pairs)}
    dropped = np.zeros(len(whole), dtype=bool)
    if point_like == "drop":
        dropped = np.asarray(whole["point_like"]) & ~np.isfinite(whole["z_spec"])
    counts["point_like_dropped"] = int(dropped.sum())
    whole = whole[~dropped]
    whole.add_column([f"{row:05d}" for row in range(len(whole))], name="source_id", index=0)
    whole.meta = counts
    logger.info("%d sources, %d of %d spectra among them", len(found), len(pairs), len(spectra))
    return whole


def _spectra(given: str | Path | Table | None, ra: str, dec: str, z: str, quality: str | None) -> QTable:
    """Positions, redshifts, qualities and rows of the spectra that have a redshift and a place."""
    if given is None:
        return QTable(
            {"ra": [] * u.deg, "dec": [] * u.deg, "z_spec": np.zeros(0), "spectrum": np.zeros(0, int)}
        )
    table = read_catalogue(given) if isinstance(given, str | Path) else QTable(given)
    wanted = [ra, dec, z, *([] if quality is None else [quality])]
    if missing := [name for name in wanted if name not in table.colnames]:
        raise MissingDataError(
            f"the spectroscopic catalogue must have the columns {wanted}, got {table.colnames} without "
            f"{missing}; name the right ones by ra=, dec=, z= and quality="
        )
    sky, (found, _) = [degrees(table, name) for name in (ra, dec)], redshifts(table, z, None, ())
    rows = np.flatnonzero(np.isfinite(found) & np.isfinite(sky).all(axis=0) & (np.abs(sky[1]) <= 90))
    spectra = QTable({"ra": sky[0][rows] * u.deg, "dec": sky[1][rows] * u.deg, "z_spec": found[rows]})
    if quality is not None:
        spectra["z_quality"] = np.ma.filled(np.ma.asarray(table[quality]))[rows]
    spectra["spectrum"] = rows
    return spectra


def _point_limit(mosaics: Mosaics, options: dict[str, Any]) -> u.Quantity | None:
    widths: dict[str, float | None] = {one.band: one.psf_fwhm_arcsec for one in mosaics.mosaics}
    widths |= options.get("psf_fwhm_arcsec") or {}
    asked = options.get("detect_on")
    names = mosaics.bands if asked is None else [asked] if isinstance(asked, str) else list(asked)
    known: list[float] = [width for name in names if (width := widths[name]) is not None]
    return POINT_LIKE * float(np.mean(known)) * u.arcsec if len(known) == len(names) else None


def _with_spectra(table: QTable, spectra: QTable, pairs: QTable, *, keep: bool) -> QTable:
    """The sources with their spectra, and the spectra that have none."""
    rows, theirs = np.asarray(pairs["row"]), np.asarray(pairs["reference_row"])
    table["z_spec"], table["spectrum"] = np.nan, -1
    table["separation"] = np.full(len(table), np.nan) * u.arcsec
    table["separation"][rows] = pairs["separation"]
    if "z_quality" in spectra.colnames:
        table["z_quality"] = np.zeros(len(table), dtype=spectra["z_quality"].dtype)
    for name in {"z_spec", "spectrum", "z_quality"} & set(spectra.colnames):
        table[name][rows] = spectra[name][theirs]
    first = [
        n
        for n in ("ra", "dec", "z_spec", "z_quality", "spectrum", "separation", "detected")
        if n in table.colnames
    ]
    table = table[[*first, *(name for name in table.colnames if name not in first)]]
    alone = np.setdiff1d(np.arange(len(spectra)), theirs)
    if not keep or not len(alone):
        return table
    extra = QTable({name: _blank(table[name], len(alone)) for name in table.colnames})
    for name in spectra.colnames:
        extra[name] = spectra[name][alone]
    return vstack([table, extra], metadata_conflicts="silent")


def _blank(column: Any, length: int) -> NDArray | u.Quantity:
    """Values that say "not measured": NaN, false, -1 for flags."""
    kind = column.dtype.kind
    plain = np.full(length, {"f": np.nan, "b": False, "i": -1}[kind], dtype=column.dtype)
    return plain * column.unit if getattr(column, "unit", None) is not None else plain
