"""Seconds to simulate fields of HST, and how much faster they are painted than one source and band at a time.

Run ``python tests/benchmarks/bench_fields.py``. The plain way evaluates astropy's Sersic profile on the same
stamp for each component and band and convolves it by FFT; it is timed on a share of the components, in turns
with the painting of all of them.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.convolution import convolve_fft
from astropy.modeling.models import Sersic2D

from labkit.simulate.hst import BANDS, simulate_fields
from labkit.simulate.hst.bands import PIXEL_SCALE_ARCSEC
from labkit.simulate.hst.clusters import draw_zones, pick_clusters
from labkit.simulate.hst.painting import CORE_PX, Components, blur, draw_components, paint_bands
from labkit.simulate.hst.population import populate
from labkit.simulate.painting import component_reach, sersic_mixture, window

SKY = {name: band.sky_sigma() for name, band in BANDS.items()}


def whole_field(size_px: int) -> Components:
    """Components of one field."""
    row, rng = pick_clusters(["M1206"])[0], np.random.default_rng(1)
    return draw_components(rng, populate(rng, row, draw_zones(rng, row, size_px=size_px), scale=0.2))


def ours(listed: Components, size_px: int) -> float:
    """Seconds for a band when all twelve are painted and blurred."""
    start = time.perf_counter()
    canvas = paint_bands(listed, list(BANDS), size_px=size_px, sky_sigma=SKY)
    for image, band in zip(canvas, BANDS.values(), strict=True):
        blur(image, band)
    return (time.perf_counter() - start) / len(BANDS)


def plain(listed: Components, size_px: int, share: float) -> float:
    """Seconds for a band of astropy's profile and FFT on each stamp, from a share of the components."""
    band = BANDS["F814"]
    axis = np.arange(-12, 13)
    weights, sigmas = band.psf()
    squared = axis[:, None] ** 2 + axis**2
    sigmas = sigmas / PIXEL_SCALE_ARCSEC
    kernel = (weights / sigmas**2 * np.exp(-squared[..., None] / (2 * sigmas**2))).sum(axis=-1)
    kernel /= kernel.sum()
    canvas = np.zeros((size_px, size_px))
    # The same contrast and hence the same stamps as in `paint`.
    flux = 10 ** (-0.4 * (listed.magnitude - [b.zero_point for b in BANDS.values()]))
    contrast = (flux / list(SKY.values())).max(axis=1)
    chosen = np.random.default_rng(0).random(len(flux)) < share
    start = time.perf_counter()
    for i in np.flatnonzero(chosen):
        weights, sigmas = sersic_mixture(float(listed.index[i]), fine=True)
        major = (sigmas * listed.re_px[i]) ** 2 + CORE_PX**2
        reach = component_reach(contrast[i], weights, major, major)
        x, y = listed.x[i] + size_px / 2, listed.y[i] + size_px / 2
        box = window(x, y, max(reach, 13.0), canvas.shape)
        if canvas[box].size == 0:
            continue
        rows, columns = np.mgrid[box]
        model = Sersic2D(
            1.0,
            max(listed.re_px[i], 0.5),
            listed.index[i],
            x,
            y,
            1 - listed.axis_ratio[i],
            np.radians(listed.position_angle[i] + 90),
        )
        stamp = convolve_fft(model(columns, rows), kernel, boundary="fill", normalize_kernel=False)
        canvas[box] += flux[i, 5] * stamp / stamp.sum()
    return (time.perf_counter() - start) / chosen.mean()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", nargs="*", default=None)
    parser.add_argument("--bands", nargs="*", default=None)
    parser.add_argument("--size", type=float, default=130.0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.02, help="share of components in the plain way")
    options = parser.parse_args()
    size_px = round(options.size / PIXEL_SCALE_ARCSEC)
    listed = whole_field(size_px)
    pairs = [(ours(listed, size_px), plain(listed, size_px, options.share)) for _ in range(2)]
    fast, slow = np.min(pairs, axis=0)
    print(
        f"{len(listed.x)} components on {size_px} px, no noise: {fast:.2f} s a band when twelve are painted"
    )
    print(f"one component and band at a time: {slow:.1f} s a band, {slow / fast:.0f} x as long")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = simulate_fields(
            Path(folder) / "fields",
            seed=1,
            clusters=options.clusters,
            bands=options.bands,
            size_arcsec=options.size,
            scale=options.scale,
            n_jobs=options.jobs,
        )
        seconds = time.perf_counter() - start
    mosaics = sum(len(str(bands).split()) for bands in made["bands"])
    print(
        f"{len(made)} fields, {mosaics} mosaics on disk, {options.jobs} process(es): {seconds:.1f} s, "
        f"{seconds / mosaics:.2f} s a field and band"
    )


if __name__ == "__main__":
    main()
