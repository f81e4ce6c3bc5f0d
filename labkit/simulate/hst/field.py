"""One simulated field: mosaics, the catalogue that a user would hold, and the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from astropy.io import fits
from astropy.table import QTable, Row
from astropy.wcs import WCS
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.paths import atomic_folder
from labkit.simulate.hst.bands import BANDS, FRONTIER_BANDS, PIXEL_SCALE_ARCSEC, band_names
from labkit.simulate.hst.catalogues import SOURCE, describe, field_wcs, source_catalogue, truth_table
from labkit.simulate.hst.clusters import pick_clusters
from labkit.simulate.hst.components import components
from labkit.simulate.hst.detection import detect
from labkit.simulate.hst.footprints import CUTOUT_HALF_PX, Zones, draw_zones
from labkit.simulate.hst.painting import blur, expose, paint
from labkit.simulate.hst.population import populate
from labkit.simulate.hst.spectroscopy import take_spectra

__all__ = ["SimulatedField", "field_bands", "simulate_field"]

_LEAST_ARCSEC, _MOST_ARCSEC = 20.0, 400.0


@dataclass(frozen=True)
class SimulatedField:
    """A cluster's field as observed, and what is really there.

    Parameters
    ----------
    cluster : dict
        Name, short name, redshifts, place, M200c and R200, and the numbers with which the field was made.
    mosaics : dict of str to ndarray, shape (y, x)
        Sky-subtracted electrons per second for each band, float32, north up and east left; NaN where a band
        was not observed. The FITS files hold these numbers.
    wcs : astropy.wcs.WCS
        Tangent plane of all bands.
    catalogue : QTable
        What a user would hold, one row a detected source, from south to north: ``source_id``, ``ra``, ``dec``
        (measured), ``mag_F814`` and ``mag_F814_error`` (measured), ``z_spec`` (NaN without spectrum),
        ``z_quality`` (`QUALITIES`). The numbers of Table 1 are those with ``z_quality`` of at least 2.
    truth : QTable
        Every body: ``source_id``, true place and redshift, ``member``, ``origin``, ``kind``, shape, true
        magnitudes ``mag_<band>``, ``detected``.
    """

    cluster: dict[str, Any]
    mosaics: dict[str, NDArray[np.float32]]
    wcs: WCS
    catalogue: QTable
    truth: QTable

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, by wavelength."""
        return tuple(self.mosaics)

    def header(self, band: str) -> fits.Header:
        """FITS header of a band's mosaic: WCS, filter, exposure time, AB zero point.

        Raises
        ------
        InputError
            If the field lacks the band.
        """
        if band not in self.mosaics:
            raise InputError(f"band must be one of {self.bands}, got {band!r}")
        about, deep = BANDS[band], bool(self.cluster["frontier"])
        header = self.wcs.to_header()
        header["TELESCOP"] = ("HST", "simulated")
        header["INSTRUME"] = about.camera
        header["FILTER"] = about.element
        header["OBJECT"] = self.cluster["short"]
        header["BUNIT"] = "electrons/s"
        header["EXPTIME"] = (about.exposure(frontier=deep), "[s]")
        header["PHOTZP"] = (about.zero_point, "AB magnitude of 1 electron/s")
        header["SKYSIGMA"] = (about.sky_sigma(frontier=deep), "noise of the sky in a pixel, electrons/s")
        header["PSFFWHM"] = (about.fwhm_arcsec, "[arcsec]")
        header["ORIGIN"] = (SOURCE, "not an observation")
        return header

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``<short>_<band>.fits``, catalogue.fits, truth.fits and cluster.json into a new folder.

        Parameters
        ----------
        path : path
            Folder to make.
        overwrite : bool
            Replace a folder that is there.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InputError
            If the folder exists and `overwrite` is false.
        """
        with atomic_folder(path, overwrite=overwrite) as folder:
            for band, image in self.mosaics.items():
                name = f"{self.cluster['short']}_{band}.fits"
                fits.PrimaryHDU(image, self.header(band)).writeto(folder / name)
            self.catalogue.write(folder / "catalogue.fits")
            self.truth.write(folder / "truth.fits")
            (folder / "cluster.json").write_text(json.dumps(self.cluster, indent=1) + "\n")
        return Path(path)


def field_bands(cluster: Row, bands: Iterable[str] | None) -> tuple[str, ...]:
    """Those of the bands asked for (all for None) in which a cluster was observed, by wavelength.

    Raises
    ------
    InputError
        If a band is unknown or given twice, or none of them was observed.
    """
    asked = band_names(bands)
    there = tuple(name for name in asked if not cluster["frontier_only"] or name in FRONTIER_BANDS)
    if not there:
        raise InputError(f"bands must include one of {FRONTIER_BANDS} for {cluster['short']}, got {asked}")
    return there


def simulate_field(
    cluster: str,
    *,
    seed: int,
    bands: Iterable[str] | None = None,
    size_arcsec: float = 130.0,
    scale: float = 1.0,
) -> SimulatedField:
    """Simulate the field of one of the fifteen clusters of Angora et al. (2020).

    Pixels, catalogue and truth depend on seed, cluster, size and scale, not on which bands or other clusters
    are asked for.

    Parameters
    ----------
    cluster : str
        Short name, ``M0416``.
    seed : int
        Seed of everything random.
    bands : iterable of str, optional
        Bands to paint; by default all twelve, for the two clusters of the Frontier Fields alone the seven of
        these.
    size_arcsec : float
        Side of the optical mosaic.
    scale : float
        Factor on the numbers of spectra of Table 1.

    Returns
    -------
    SimulatedField
        The field.

    Raises
    ------
    InputError
        If a name is unknown, a number out of range, or there are not enough sources for the spectra.
    """
    if not isinstance(cluster, str):
        raise InputError(f"cluster must be one short name, got {cluster!r}; simulate_fields takes several")
    row = pick_clusters([cluster])[0]
    names = field_bands(row, bands)
    _check(row, seed, size_arcsec, scale)
    size_px = round(size_arcsec / PIXEL_SCALE_ARCSEC)
    streams = {name: _stream(seed, cluster, name) for name in ("footprint", "bodies", "looks", "catalogue")}
    zones = draw_zones(streams["footprint"], row, size_px=size_px)
    table = populate(streams["bodies"], row, zones, scale=scale)
    listed = components(streams["looks"], table)
    deep = bool(row["frontier"])
    sky = {name: BANDS[name].sky_sigma(frontier=deep) for name in BANDS}
    found = detect(streams["catalogue"], table, sky_sigma=sky["F814"])
    zone = zones.zone(found.x / PIXEL_SCALE_ARCSEC, found.y / PIXEL_SCALE_ARCSEC)
    spectra = take_spectra(streams["catalogue"], table, row, zone=zone, found=found.found, scale=scale)
    canvas = paint(listed, names, size_px=size_px, sky_sigma=sky)
    mosaics = {}
    for number, name in enumerate(names):
        image = blur(canvas[number], BANDS[name])
        image = expose(
            _stream(seed, cluster, name),
            image,
            sky_sigma=sky[name],
            exposure_s=BANDS[name].exposure(frontier=deep),
        )
        _leave_dark(image, zones, name)
        mosaics[name] = image
    wcs = field_wcs(row, size_px)
    about = describe(row, seed=int(seed), size_arcsec=float(size_arcsec), scale=float(scale), bands=names)
    truth = truth_table(table, listed.total(len(table)), row, wcs, found)
    catalogue = source_catalogue(truth, found, spectra, wcs)
    return SimulatedField(about, mosaics, wcs, catalogue, truth[np.argsort(truth["source_id"])])


def _check(row: Row, seed: int, size_arcsec: float, scale: float) -> None:
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    if not _LEAST_ARCSEC <= size_arcsec <= _MOST_ARCSEC:
        raise InputError(
            f"size_arcsec must be between {_LEAST_ARCSEC:g} and {_MOST_ARCSEC:g}, got {size_arcsec}"
        )
    spectra = sum(
        max(int(row[f"acs_{kind}"]), int(row[f"mixed_{kind}"])) for kind in ("members", "non_members")
    )
    side = size_arcsec / 60 - 2 * CUTOUT_HALF_PX * PIXEL_SCALE_ARCSEC / 60
    most = 200.0 * side**2 / spectra
    if not 0 <= scale <= most:
        raise InputError(
            f"scale must be between 0 and {most:.2f} (200 spectra per square arcmin) for {row['short']} at "
            f"{size_arcsec:g} arcsec, got {scale}"
        )


def _stream(seed: int, cluster: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng([int(seed), crc32(cluster.encode()), crc32(purpose.encode())])


def _leave_dark(image: NDArray, zones: Zones, band: str) -> None:
    """Put NaN where the band was not observed."""
    footprint = zones.footprint(band)
    if footprint is not None:
        axis = np.arange(len(image)) - (len(image) - 1) / 2
        image[~footprint.contains(axis[None, :], axis[:, None])] = np.nan
