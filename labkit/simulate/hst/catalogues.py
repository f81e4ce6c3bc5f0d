"""The tables of a field: what a user would hold, the truth, and what the field is."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Row, Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.images.coordinates import pixel_to_sky
from labkit.simulate.hst.bands import BANDS, PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.detection import Detections
from labkit.simulate.hst.members import V_MAX
from labkit.simulate.hst.population import is_member
from labkit.simulate.hst.spectroscopy import Spectra

__all__ = ["SOURCE", "describe", "field_wcs", "source_catalogue", "truth_table"]

#: Name by which headers and tables say what they are.
SOURCE = "simulated CLASH field"


def field_wcs(row: Row, size_px: int) -> WCS:
    """Tangent plane about a cluster, north up and east left, for a square of `size_px` pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [row["ra"].to_value(u.deg), row["dec"].to_value(u.deg)]
    wcs.wcs.crpix = [(size_px + 1) / 2] * 2
    wcs.wcs.cdelt = [-PIXEL_SCALE_ARCSEC / 3600, PIXEL_SCALE_ARCSEC / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.array_shape = (size_px, size_px)
    return wcs


def _sky(wcs: WCS, x_arcsec: NDArray, y_arcsec: NDArray) -> tuple[NDArray, NDArray]:
    centre = np.asarray(wcs.wcs.crpix) - 1
    return pixel_to_sky(
        wcs, x_arcsec / PIXEL_SCALE_ARCSEC + centre[0], y_arcsec / PIXEL_SCALE_ARCSEC + centre[1]
    )


def truth_table(table: Table, magnitudes: NDArray, row: Row, wcs: WCS, found: Detections) -> QTable:
    """What is in the field, one row a body, in the order of `table`.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Bodies, as `bodies` gives them.
    magnitudes : ndarray, shape (n, band)
        True AB magnitudes in all twelve bands.
    row : `~astropy.table.Row`
        Row of `clash_clusters`.
    wcs : astropy.wcs.WCS
        Tangent plane.
    found : Detections
        What is detected.

    Returns
    -------
    `~astropy.table.QTable`
        As `SimulatedField.truth` says. Sources are numbered from south to north, so that a number tells
        nothing but the place.
    """
    ra, dec = _sky(wcs, np.asarray(table["x_arcsec"]), np.asarray(table["y_arcsec"]))
    rank = np.argsort(np.argsort(dec + 1e-12 * ra))
    galaxy = ~np.isin(np.asarray(table["kind"]), ("star", "icl"))
    truth = QTable(
        {
            "source_id": [f"{row['short']}-{number:05d}" for number in rank],
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "redshift": np.asarray(table["redshift"]),
            "member": is_member(table["redshift"], float(row["redshift"])) & galaxy,
            "origin": np.asarray(table["origin"]),
            "kind": np.asarray(table["kind"]),
            "re": np.asarray(table["re_arcsec"]) * u.arcsec,
            "sersic_n": np.asarray(table["sersic_n"]),
            "axis_ratio": np.asarray(table["axis_ratio"]),
            "position_angle": np.asarray(table["position_angle"]) * u.deg,
            "detected": found.found,
        }
    )
    for number, name in enumerate(BANDS):
        truth[f"mag_{name}"] = magnitudes[:, number]
    return truth


def source_catalogue(truth: QTable, found: Detections, spectra: Spectra, wcs: WCS) -> QTable:
    """The detected sources on the mosaic, as `SimulatedField.catalogue` says.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        The truth, for the sources' names.
    found : Detections
        Measured places and magnitudes of all bodies.
    spectra : Spectra
        Their redshifts.
    wcs : astropy.wcs.WCS
        Tangent plane with its array's shape.

    Returns
    -------
    `~astropy.table.QTable`
        By name, which is from south to north.
    """
    ra, dec = _sky(wcs, found.x, found.y)
    size = wcs.array_shape[0] * PIXEL_SCALE_ARCSEC / 2
    listed = found.found & (np.abs(found.x) < size) & (np.abs(found.y) < size)
    catalogue = QTable(
        {
            "source_id": truth["source_id"],
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "mag_F814": found.magnitude,
            "mag_F814_error": found.magnitude_error,
            "z_spec": spectra.redshift,
            "z_quality": spectra.quality.astype(np.int16),
        }
    )[listed]
    return catalogue[np.argsort(catalogue["source_id"])]


def describe(row: Row, *, bands: tuple[str, ...], **made: object) -> dict[str, Any]:
    """A row of the clusters' table and the numbers of a simulation, as plain values for JSON."""
    plain = {
        name: value.item() if hasattr(value, "item") else value
        for name in ("short", "redshift", "z_min", "z_max", "frontier", "frontier_only", "m200c_note")
        for value in [row[name]]
    }
    return {
        "name": str(row["cluster"]),
        **plain,
        "ra_deg": float(row["ra"].to_value(u.deg)),
        "dec_deg": float(row["dec"].to_value(u.deg)),
        "m200c_msun": float(row["m200c"].to_value(u.M_sun)),
        "r200_mpc": float(row["r200"].to_value(u.Mpc)),
        "v_max_km_s": V_MAX,
        "pixel_scale_arcsec": PIXEL_SCALE_ARCSEC,
        "bands": list(bands),
        "source": SOURCE,
        **made,
    }
