"""A whole simulated XMM-Newton observation: images and exposure maps of the three cameras, and the truth."""

from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.errors import InputError
from labkit.images.coordinates import pixels_at, sky_to_pixel, tangent_plane
from labkit.instruments.epic import CAMERAS, summed_exposure
from labkit.paths import atomic_folder
from labkit.simulate.field import SkySource, draw_sources, parts_of
from labkit.simulate.numbers import check_whole
from labkit.simulate.xmm import Grid, Pointing, count_images, draw_pointing, exposure_map

_LEAST_COUNTS = 30  # expected, of the candidates that an observer would list


@dataclass(frozen=True)
class SimulatedObservation:
    """Images of one observation, 0.5-2 keV, north up and east left.

    Shapes: images (y, x), exposures (y, x).
    """

    images: dict[str, np.ndarray]
    exposures: dict[str, np.ndarray]
    wcs: WCS
    truth: QTable
    pointing: Pointing

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``<camera>_image.fits``, ``<camera>_exposure.fits`` and ``truth.ecsv`` into a new folder."""
        with atomic_folder(path, overwrite=overwrite) as folder:
            for camera, image in self.images.items():
                self._hdu(camera, image, "counts").writeto(folder / f"{camera}_image.fits")
                self._hdu(camera, self.exposures[camera], "s").writeto(folder / f"{camera}_exposure.fits")
            self.truth.write(folder / "truth.ecsv")
        return Path(path)

    def _hdu(self, camera: str, data: np.ndarray, unit: str) -> fits.PrimaryHDU:
        header = self.wcs.to_header()
        header["TELESCOP"] = ("XMM", "simulated")
        header["INSTRUME"] = {"pn": "EPN", "mos1": "EMOS1", "mos2": "EMOS2"}.get(camera, "EPIC")
        header["OBJECT"] = "SIMULATED FIELD"
        header["BUNIT"] = unit
        header["RA_PNT"], header["DEC_PNT"] = self.pointing.ra_deg, self.pointing.dec_deg
        header["PA_PNT"] = self.pointing.position_angle_deg
        header["E_MIN"], header["E_MAX"] = (0.5, "[keV]"), (2.0, "[keV]")
        if camera in self.pointing.exposure_s:
            header["EXPOSURE"] = (self.pointing.exposure_s[camera], "[s]")
        return fits.PrimaryHDU(data.astype(np.float32), header)


def simulate_observation(
    seed: int,
    *,
    pixel_scale_arcsec: float = 4.35,
    size_px: int = 512,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> SimulatedObservation:
    """Simulate a field of XMM-Newton: a target near the aim point, AGN, other clusters, a galaxy at times.

    Parameters
    ----------
    seed : int
        Seed of everything random.
    pixel_scale_arcsec : float
        Pixel size.
    size_px : int
        Pixels along a side; 512 of 4.35 arcsec hold the field of view.
    path : path, optional
        Also write the observation there, as `SimulatedObservation.write` does.
    overwrite : bool
        Replace a folder that is at `path`.

    Returns
    -------
    SimulatedObservation
        Images, exposure maps and truth.

    Raises
    ------
    InputError
        If `seed` or `size_px` is no whole number in range, the pixel scale is not positive, or `path` exists
        and `overwrite` is false.
    """
    check_whole(0, seed=seed)
    check_whole(1, size_px=size_px)
    if not pixel_scale_arcsec > 0:
        raise InputError(f"pixel_scale_arcsec must be positive, got {pixel_scale_arcsec}")
    rng = np.random.default_rng(seed)
    pointing = draw_pointing(rng)
    grid = Grid(0.0, 0.0, size_px, pixel_scale_arcsec / 60)
    wcs = tangent_plane(pointing.ra_deg, pointing.dec_deg, pixel_scale_arcsec, (size_px, size_px))
    sources = draw_sources(rng, pointing)
    components, flaws = parts_of(sources)
    images = count_images(rng, components, pointing, grid, spurious=flaws)
    exposures = {camera.name: exposure_map(pointing, camera, grid) for camera in CAMERAS}
    images["epic"] = np.sum(list(images.values()), axis=0)
    exposures["epic"] = summed_exposure(list(exposures.values()))
    observation = SimulatedObservation(images, exposures, wcs, _truth(sources, pointing, wcs), pointing)
    if path is not None:
        observation.write(path, overwrite=overwrite)
    return observation


def _truth(sources: list[SkySource], pointing: Pointing, wcs: WCS) -> QTable:
    x, y = np.array([source.place for source in sources]).T
    ra, dec = np.array([pointing.sky(*place) for place in zip(x, y, strict=True)]).T
    column, row = sky_to_pixel(wcs, ra, dec)
    flux = np.array([source.flux for source in sources])
    clusters = [source.truth if "cluster" in source.kind else {} for source in sources]
    known = {
        name: np.array([truth.get(name, np.nan) for truth in clusters])
        for name in ("redshift", "m500", "r500")
    }
    return QTable(
        {
            "kind": [source.kind for source in sources],
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "x": column,
            "y": row,
            "flux": flux * u.erg / u.s / u.cm**2,
            "counts": flux * pointing.counts_per_flux(*pointing.to_detector(x, y)),
            "redshift": known["redshift"],
            "m500": known["m500"] * u.M_sun,
            "r500": known["r500"] * u.arcmin,
            "core_radius": np.array([60 * s.components[0].core if s.components else np.nan for s in sources])
            * u.arcsec,
        }
    )


def field_files(path: str | Path, seed: int) -> tuple[list[str], list[str], str]:
    """Simulate an observation into a folder, made again if it is there, and return what a user would hold.

    These are the FITS images of PN, MOS1 and MOS2, their exposure maps, and a candidate list (ECSV) with
    nothing but ``ra`` and ``dec`` of the sources of at least 30 expected counts.
    """
    observation = simulate_observation(seed, path=path, overwrite=True)
    truth = observation.truth[observation.truth["counts"] >= _LEAST_COUNTS]
    seen, inside = pixels_at(observation.exposures["epic"], truth["x"], truth["y"])
    folder = Path(path)
    truth["ra", "dec"][inside & (seen > 0)].write(folder / "candidates.ecsv")
    images, exposures = (
        [str(folder / f"{camera.name}_{kind}.fits") for camera in CAMERAS] for kind in ("image", "exposure")
    )
    return images, exposures, str(folder / "candidates.ecsv")
