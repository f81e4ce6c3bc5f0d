"""All sources of a field: found on its mosaics, with the redshifts that are known."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.photometry import match
from labkit.sources.members.catalogue import read_redshifts
from labkit.sources.mosaics import Mosaics, extract_mosaics
from labkit.sources.positions import out_of_bounds, read_positions
from labkit.tables import find_column, read_catalogue
from labkit.tables.columns import parts

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
        One row per source, brightest first, unmatched spectra last: ``source_id`` (numbers from 00000),
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
    found = [find_column(table.colnames, name) for name in wanted]
    if missing := [name for name, column in zip(wanted, found, strict=True) if column is None]:
        raise MissingDataError(
            f"the spectroscopic catalogue must have the columns {wanted}, got {table.colnames} without "
            f"{missing}; name the right ones by ra=, dec=, z= and quality="
        )
    sky = read_positions(table, str(found[0]), str(found[1]))
    redshifts, sentinels = read_redshifts(table, found[2])
    if sentinels:
        logger.warning("%d redshifts such as 99 or -99 taken as unknown", sentinels)
    rows = np.flatnonzero(np.isfinite(redshifts) & ~out_of_bounds(sky))
    spectra = QTable({"ra": sky[0][rows] * u.deg, "dec": sky[1][rows] * u.deg, "z_spec": redshifts[rows]})
    if quality is not None:
        spectra["z_quality"] = _taken(table[found[3]], rows)
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
    """The sources with their spectra, and, if they are to be kept, the spectra that have no source."""
    source, spectrum = np.asarray(pairs["row"]), np.asarray(pairs["reference_row"])
    alone = np.setdiff1d(np.arange(len(spectra)), spectrum) if keep else np.zeros(0, dtype=np.int64)
    of_source = np.append(np.arange(len(table)), np.full(len(alone), -1))
    of_spectrum = np.append(np.full(len(table), -1), alone)
    of_spectrum[source] = spectrum
    whole = QTable()
    for name in ("ra", "dec"):
        found, other = _taken(table[name], of_source), _taken(spectra[name], of_spectrum)
        whole[name] = np.where(of_source >= 0, found, other)
    for name in ("z_spec", "z_quality", "spectrum"):
        if name in spectra.colnames:
            whole[name] = _taken(spectra[name], of_spectrum)
    separation = np.full(len(whole), np.nan) * u.arcsec
    separation[source] = pairs["separation"]
    whole["separation"], whole["detected"] = separation, of_source >= 0
    for name in table.colnames:
        if name not in whole.colnames:
            whole[name] = _taken(table[name], of_source)
    return whole


def _taken(column: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a column; where the row is -1, NaN, false or -1 stands, or the value is masked."""
    values, mask, unit = parts(column)
    none = rows < 0
    if not len(values):
        values, mask = np.zeros(1, values.dtype), np.ones(1, dtype=bool)
    taken, hidden = values[rows], mask[rows]
    if getattr(getattr(column, "info", None), "name", None) == "z_quality":
        hidden = hidden | none
    elif values.dtype.kind in "fbi":
        taken = np.where(none, {"f": np.nan, "b": False, "i": -1}[values.dtype.kind], taken).astype(
            values.dtype
        )
        hidden = hidden & ~none
    if hidden.any():
        return MaskedColumn(taken, mask=hidden, unit=unit)
    return taken if unit is None else taken * unit
