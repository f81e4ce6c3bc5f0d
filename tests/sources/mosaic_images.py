"""Mosaics to test with: of noise or of round sources, on any grid, in memory and as files."""

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

SHAPE = (150, 170)
CLUSTER = {"cluster": "A1", "redshift": 0.4}


def tangent(shape=SHAPE, *, scale=0.065, roll_deg=0.0, flip=False, centre=(64.0, -24.0)):
    """A tangent plane about the middle of an image, north turned from y to -x by the roll."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = list(centre), [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    east = 1 if flip else -1
    wcs.wcs.cd = np.array([[east * c, east * s], [-s, c]]) * scale / 3600
    return wcs


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def painted(bodies, wcs, shape):
    """Round Gaussians of x, y (px of the standard mosaic), flux and sigma (arcsec), whatever the grid."""
    scale = np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for body_x, body_y, flux, sigma_arcsec in bodies:
        cx, cy = wcs.world_to_pixel(tangent().pixel_to_world(body_x, body_y))
        s = sigma_arcsec / scale
        image += flux / (2 * np.pi * s**2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2))
    return image.astype(np.float32)


def write_mosaic(path, data, wcs=None, **cards):
    header = (wcs or tangent(data.shape)).to_header()
    header.update(cards)
    path.parent.mkdir(exist_ok=True, parents=True)
    fits.PrimaryHDU(data, header).writeto(path)
    return path


def sources_at(places, **columns):
    """A catalogue of sources at pixels x, y of the standard mosaic."""
    sky = tangent().pixel_to_world(*np.asarray(places, dtype=float).T)
    n = len(places)
    table = QTable({"source_id": [f"s{i}" for i in range(n)], "ra": sky.ra, "dec": sky.dec})
    table["z_spec"] = np.resize([0.4, 0.5, 0.401, np.nan], n)
    for name, values in columns.items():
        table[name] = values
    return table


#: Places well within the standard mosaic.
INSIDE = np.random.default_rng(8).uniform(30, 120, (6, 2))
