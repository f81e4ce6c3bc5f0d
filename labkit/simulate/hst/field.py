"""Simulated fields: mosaics, the catalogue that a user would hold, and the truth beside them."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Row, Table
from astropy.wcs import WCS
from numpy.random import Generator
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, tangent_plane
from labkit.paths import atomic_folder
from labkit.processes import run_tasks
from labkit.simulate.hst.bands import BANDS, FRONTIER_BANDS, PIXEL_SCALE_ARCSEC, band_names
from labkit.simulate.hst.clusters import CUTOUT_HALF_PX, draw_zones, pick_clusters
from labkit.simulate.hst.galaxies import V_MAX
from labkit.simulate.hst.painting import FIELD_ERROR, blur, draw_components, expose, paint_bands
from labkit.simulate.hst.population import Detections, Spectra, detect, is_member, populate, take_spectra
from labkit.simulate.numbers import check_whole

logger = logging.getLogger(__name__)

#: Name by which headers and tables say what they are.
_SOURCE = "simulated CLASH field"
_LEAST_ARCSEC, _MOST_ARCSEC = 20.0, 400.0


@dataclass(frozen=True)
class SimulatedField:
    """A cluster's field as observed, and what is really there."""

    # name, short name, redshifts, place, M200c and R200, the numbers with which the field was made, and the
    # errors of its bands' zero points, mag
    cluster: dict[str, Any]
    # sky-subtracted electrons per second for each band, float32, north up and east left; NaN where a
    # band was not observed. The FITS files hold these numbers
    mosaics: dict[str, NDArray[np.float32]]
    wcs: WCS  # tangent plane of all bands
    # what a user would hold, one row per detected source, from south to north; places and magnitudes are
    # measured, z_quality is one of `QUALITIES`: the numbers of Table 1 are those of at least 2
    catalogue: QTable
    # every body, with true place, redshift, shape and magnitudes; interlopers are members by velocity alone
    truth: QTable

    def header(self, band: str) -> fits.Header:
        """FITS header of a band's mosaic: WCS, filter, exposure time, AB zero point."""
        about, deep = BANDS[band], bool(self.cluster["frontier"])
        header = self.wcs.to_header()
        header["TELESCOP"] = ("HST", "simulated")
        header["INSTRUME"] = about.camera
        header["FILTER"] = about.element
        header["OBJECT"] = self.cluster["short"]
        header["BUNIT"] = "electrons/s"
        header["EXPTIME"] = (about.exposure(frontier=deep), "[s]")
        header["PHOTZP"] = (about.zero_point, "AB magnitude of 1 electron/s")
        header["SKYSIGMA"] = (about.pixel_sigma(frontier=deep), "noise of the sky in a pixel, electrons/s")
        header["SKYWHITE"] = (about.sky_sigma(frontier=deep), "the same before pixels shared it by drizzling")
        header["PSFFWHM"] = (about.fwhm_arcsec, "[arcsec]")
        header["ORIGIN"] = (_SOURCE, "not an observation")
        return header

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``<short>_<band>.fits``, catalogue.fits, truth.fits and cluster.json into a new folder."""
        with atomic_folder(path, overwrite=overwrite) as folder:
            for band, image in self.mosaics.items():
                name = f"{self.cluster['short']}_{band}.fits"
                fits.PrimaryHDU(image, self.header(band)).writeto(folder / name)
            self.catalogue.write(folder / "catalogue.fits")
            self.truth.write(folder / "truth.fits")
            (folder / "cluster.json").write_text(json.dumps(self.cluster, indent=1) + "\n")
        return Path(path)


def _field_bands(cluster: Row, bands: Iterable[str] | None) -> tuple[str, ...]:
    """Those of the bands asked for (all for None) in which a cluster was observed, by wavelength."""
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
    """
    row = pick_clusters([cluster])[0]
    names = _field_bands(row, bands)
    _check(row, seed, size_arcsec, scale)
    size_px = round(size_arcsec / PIXEL_SCALE_ARCSEC)
    streams = {
        name: _stream(seed, cluster, name) for name in ("footprint", "bodies", "looks", "catalogue", "zero")
    }
    zones = draw_zones(streams["footprint"], row, size_px=size_px)
    table = populate(streams["bodies"], row, zones, scale=scale)
    listed = draw_components(streams["looks"], table)
    deep = bool(row["frontier"])
    sky = {name: BANDS[name].sky_sigma(frontier=deep) for name in BANDS}
    found = detect(streams["catalogue"], table, sky_sigma=sky["F814"])
    zone = zones.zone(found.x / PIXEL_SCALE_ARCSEC, found.y / PIXEL_SCALE_ARCSEC)
    spectra = take_spectra(streams["catalogue"], table, row, zone=zone, found=found.found, scale=scale)
    canvas = paint_bands(listed, names, size_px=size_px, sky_sigma=sky)
    zero = dict(zip(BANDS, streams["zero"].normal(0, FIELD_ERROR, len(BANDS)), strict=True))
    mosaics = {}
    for number, name in enumerate(names):
        band = BANDS[name]
        noise: dict[str, Any] = {"sky_sigma": sky[name], "exposure_s": band.exposure(frontier=deep)}
        canvas[number] *= np.float32(10 ** (-0.4 * zero[name]))
        image, noise["kernel"] = blur(canvas[number], band), band.noise_kernel()
        mosaics[name] = expose(_stream(seed, cluster, name), image, **noise)
        if footprint := zones.footprint(name):
            axis = np.arange(size_px) - (size_px - 1) / 2
            mosaics[name][~footprint.contains(axis[None, :], axis[:, None])] = np.nan
    centre = row["ra"].to_value(u.deg), row["dec"].to_value(u.deg)
    wcs = tangent_plane(*centre, PIXEL_SCALE_ARCSEC, (size_px, size_px))
    made: dict[str, Any] = {"seed": int(seed), "size_arcsec": float(size_arcsec), "scale": float(scale)}
    made["zero_point_errors"] = {name: round(float(zero[name]), 4) for name in names}
    about = _describe(row, bands=names, **made)
    truth = _truth_table(table, listed.total(len(table)), row, wcs, found)
    catalogue = _source_catalogue(truth, found, spectra, wcs)
    return SimulatedField(about, mosaics, wcs, catalogue, truth[np.argsort(truth["source_id"])])


def _check(row: Row, seed: int, size_arcsec: float, scale: float) -> None:
    check_whole(0, seed=seed)
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


def _stream(seed: int, cluster: str, purpose: str) -> Generator:
    return np.random.default_rng([int(seed), crc32(cluster.encode()), crc32(purpose.encode())])


def _sky(wcs: WCS, x_arcsec: NDArray, y_arcsec: NDArray) -> tuple[NDArray, NDArray]:
    centre = np.asarray(wcs.wcs.crpix) - 1
    return pixel_to_sky(
        wcs, x_arcsec / PIXEL_SCALE_ARCSEC + centre[0], y_arcsec / PIXEL_SCALE_ARCSEC + centre[1]
    )


def _truth_table(table: Table, magnitudes: NDArray, row: Row, wcs: WCS, found: Detections) -> QTable:
    """What is in the field, one row per body, in the order of `table`.

    Sources are numbered from south to north, so that a number tells nothing but the place.
    """
    ra, dec = _sky(wcs, np.asarray(table["x_arcsec"]), np.asarray(table["y_arcsec"]))
    rank = np.argsort(np.argsort(dec + 1e-12 * ra))
    galaxy = ~np.isin(np.asarray(table["kind"]), ("star", "icl"))
    member = is_member(table["redshift"], float(row["redshift"])) & galaxy
    truth = QTable(
        {
            "source_id": [f"{row['short']}-{number:05d}" for number in rank],
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "redshift": np.asarray(table["redshift"]),
            "member": member,
            "interloper": member & (np.asarray(table["origin"]) != "cluster"),
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


def _source_catalogue(truth: QTable, found: Detections, spectra: Spectra, wcs: WCS) -> QTable:
    """The detected sources on the mosaic, as `SimulatedField.catalogue` says."""
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


def _describe(row: Row, *, bands: tuple[str, ...], **made: object) -> dict[str, Any]:
    """A row of the clusters' table and the numbers of a simulation, as plain values for JSON."""
    plain = ("short", "redshift", "z_min", "z_max", "frontier", "frontier_only", "m200c_note")
    return {
        "name": str(row["cluster"]),
        **{name: row[name].item() for name in plain},
        "ra_deg": float(row["ra"].to_value(u.deg)),
        "dec_deg": float(row["dec"].to_value(u.deg)),
        "m200c_msun": float(row["m200c"].to_value(u.M_sun)),
        "r200_mpc": float(row["r200"].to_value(u.Mpc)),
        "v_max_km_s": V_MAX,
        "pixel_scale_arcsec": PIXEL_SCALE_ARCSEC,
        "bands": list(bands),
        "source": _SOURCE,
        **made,
    }


def simulate_fields(
    out: str | Path,
    *,
    seed: int,
    clusters: Iterable[str] | None = None,
    bands: Iterable[str] | None = None,
    size_arcsec: float = 130.0,
    scale: float = 1.0,
    n_jobs: int = 1,
    overwrite: bool = False,
) -> QTable:
    """Simulate fields of the clusters of Angora et al. (2020) and write them, one folder per cluster.

    A field appears whole or not at all, and one that is there with the same numbers is kept, so that a run
    which was stopped resumes.

    Parameters
    ----------
    out : path
        Folder of the fields; each lies in ``<out>/<short name>/``, as `SimulatedField.write` makes it.
    seed : int
        Seed of everything random.
    size_arcsec : float
        Side of the optical mosaic.
    scale : float
        Factor on the numbers of spectra of Table 1.
    clusters : iterable of str, optional
        Short names; all fifteen by default.
    bands : iterable of str, optional
        Bands to paint where they were observed; all by default.
    n_jobs : int
        Number of processes; the result does not depend on it.
    overwrite : bool
        Replace fields that were made with other numbers.

    Returns
    -------
    `~astropy.table.QTable`
        One row per field: ``name``, ``short``, ``redshift``, ``bands``, ``n_sources`` on the list,
        ``n_members`` and ``n_non_members`` with a spectrum of quality 2 or better, ``folder``.

    Raises
    ------
    InputError
        If a name is unknown, a number out of range, or a folder holds something else and `overwrite` is
        false.
    """
    check_whole(0, seed=seed)
    check_whole(1, n_jobs=n_jobs)
    rows = pick_clusters(clusters)
    asked = band_names(bands)
    made = {"seed": int(seed), "size_arcsec": float(size_arcsec), "scale": float(scale)}
    folders = [Path(out) / str(row["short"]) for row in rows]
    tasks = []
    for row, folder in zip(rows, folders, strict=True):
        expected = {**made, "bands": list(_field_bands(row, asked))}
        if not _kept(folder, expected, overwrite=overwrite):
            tasks.append((str(row["short"]), folder, expected))
    logger.info(
        "%d fields are there, simulating %d in %d process(es)", len(rows) - len(tasks), len(tasks), n_jobs
    )
    for number, folder in enumerate(run_tasks(_write_field, tasks, n_jobs), start=1):
        logger.info("simulated %s, %d of %d", folder.name, number, len(tasks))
    return _fields(folders)


def _kept(folder: Path, expected: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether a field with these numbers is there already."""
    if not folder.exists():
        return False
    described = folder / "cluster.json"
    found = json.loads(described.read_text()) if described.is_file() else {}
    if all(found.get(name) == value for name, value in expected.items()):
        return True
    if not overwrite:
        has = {name: found.get(name) for name in expected} if found else "no simulated field"
        raise InputError(
            f"out must hold no other data, got {str(folder)!r} with {has} instead of {expected}; choose "
            "another folder or pass overwrite=True"
        )
    return False


def _write_field(short: str, folder: Path, options: dict[str, Any]) -> Path:
    return simulate_field(short, **options).write(folder, overwrite=True)


def _fields(folders: list[Path]) -> QTable:
    rows = []
    for folder in folders:
        about = json.loads((folder / "cluster.json").read_text())
        catalogue = QTable.read(folder / "catalogue.fits")
        counted = catalogue["z_quality"] >= 2
        member = is_member(np.nan_to_num(catalogue["z_spec"]), about["redshift"]) & counted
        rows.append(
            {name: about[name] for name in ("name", "short", "redshift")}
            | {
                "bands": " ".join(about["bands"]),
                "n_sources": len(catalogue),
                "n_members": int(member.sum()),
                "n_non_members": int((counted & ~member).sum()),
                "folder": str(folder),
            }
        )
    return QTable(rows=rows)
