"""Cut-outs a second from mosaics on disk, beside one `astropy.nddata.Cutout2D` an object, and peak memory.

Run ``python tests/benchmarks/bench_mosaics.py [--objects 10000] [--bands 12] [--side 5000] [--size-px 64]``.
The mosaics are made on the fly in a temporary folder (12 bands of 5,000 x 5,000 px take 1.2 GB there). Each
way runs in a process of its own; the peak is that of memory which is not backed by a file (mapped pages of
the mosaics can be dropped at any time) and, after it, with mapped pages.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import QTable
from astropy.wcs import WCS
from timing import timed

from labkit.sources import members_sample, read_mosaics
from labkit.sources.members.cutouts import make_cutter
from labkit.sources.mosaics import registered

SCALE_ARCSEC = 0.065


def field_wcs(side: int, scale: float = SCALE_ARCSEC, *, roll_deg: float = 0.0) -> WCS:
    """Tangent plane about the middle of a square of `side` pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [64.038, -24.067], [(side + 1) / 2] * 2
    c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    wcs.wcs.cd = np.array([[-c, s], [s, c]]) * scale / 3600
    return wcs


def write_mosaics(folder: Path, bands: int, side: int) -> None:
    """Noise in each band, written a few rows at a time, and one band on a slanted grid of twice the scale."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (250, side)).astype(">f4")
    for band in range(bands):
        header = field_wcs(side).to_header()
        with (folder / f"bench_B{band:02d}.fits").open("wb") as file:
            top = fits.PrimaryHDU(np.zeros((1, 1), dtype=">f4"), header).header
            top["NAXIS1"], top["NAXIS2"] = side, side
            file.write(top.tostring().encode())
            for start in range(0, side, len(noise)):
                file.write(np.roll(noise, start + band, axis=1)[: side - start].tobytes())
            file.write(b"\0" * (-file.tell() % 2880))
    slanted = rng.normal(0, 1, (side // 2, side // 2)).astype(np.float32)
    header = field_wcs(side // 2, 2 * SCALE_ARCSEC, roll_deg=20).to_header()
    fits.PrimaryHDU(slanted, header).writeto(folder / "slanted.fits")


def catalogue(objects: int, side: int) -> QTable:
    """Positions all over the mosaic, border included, with redshifts."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(40, side - 40, (2, objects))
    sky = field_wcs(side).pixel_to_world(x, y)
    return QTable({"ra": sky.ra, "dec": sky.dec, "z_spec": rng.uniform(0.3, 0.5, objects)})


def by_cutout2d(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """Each object of each band by astropy, from mapped files, NaN off the edge."""
    positions = SkyCoord(table["ra"], table["dec"])
    size = options.size_px
    done = 0
    for path in sorted(folder.glob("bench_*.fits"))[: options.reference_bands]:
        with fits.open(path, memmap=True) as hdus:
            wcs, data = WCS(hdus[0].header), hdus[0].data
            out = np.empty((len(positions), size, size), dtype=np.float32)
            for row, position in enumerate(positions[: options.reference]):
                out[row] = Cutout2D(data, position, size, wcs=wcs, mode="partial", fill_value=np.nan).data
                done += 1
    return done


def by_cutter(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """The cutting alone, 256 objects at a time."""
    mosaics = read_mosaics(folder, pattern="bench_{band}.fits")
    cutter = make_cutter(mosaics, size_px=options.size_px)
    positions = SkyCoord(table["ra"], table["dec"])
    for start in range(0, len(positions), 256):
        cutter(positions[start : start + 256])
    return len(positions) * len(mosaics.mosaics)


def by_regridding(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """A mosaic of another pixel scale, turned, cut to the same pixels by regridding."""
    mosaics = read_mosaics({"slanted": folder / "slanted.fits"})
    cutter = make_cutter(mosaics, size_px=options.size_px, pixel_scale=SCALE_ARCSEC * u.arcsec)
    positions = SkyCoord(table["ra"], table["dec"])[: options.reference]
    for start in range(0, len(positions), 256):
        cutter(positions[start : start + 256])
    return len(positions)


def by_registering(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """The same mosaic brought onto one grid first, then cut: sources within half a pixel of the centre."""
    scale = SCALE_ARCSEC * u.arcsec
    whole = registered(read_mosaics({"slanted": folder / "slanted.fits"}), pixel_scale=scale)
    make_cutter(whole, size_px=options.size_px)(SkyCoord(table["ra"], table["dec"]))
    return len(table)


def to_memory(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """A whole member Sample in memory."""
    mosaics = read_mosaics(folder, pattern="bench_{band}.fits")
    return _count(members_sample(mosaics, table, cluster="C", redshift=0.4, size_px=options.size_px))


def to_disk(folder: Path, table: QTable, options: argparse.Namespace) -> int:
    """A whole member Sample written as it is made."""
    mosaics = read_mosaics(folder, pattern="bench_{band}.fits")
    about = {"size_px": options.size_px, "path": folder / "sample", "overwrite": True}
    return _count(members_sample(mosaics, table, cluster="C", redshift=0.4, **about))


def _count(sample) -> int:
    return sample.shape[0] * sample.shape[1]


WAYS: dict[str, Callable[[Path, QTable, argparse.Namespace], int]] = {
    "Cutout2D, each object": by_cutout2d,
    "cut only": by_cutter,
    "Sample in memory": to_memory,
    "Sample to disk": to_disk,
    "regridded, cut only": by_regridding,
    "registered, then cut": by_registering,
}


def watch(stop: threading.Event, peak: dict[str, float]) -> None:
    """Largest anonymous and whole resident memory of this process, MiB."""
    while not stop.wait(0.02):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        for name in ("RssAnon", "VmRSS"):
            peak[name] = max(peak.get(name, 0.0), int(lines[name].split()[0]) / 1024)


def measure(way: str, folder: Path, options: argparse.Namespace, out: multiprocessing.Queue) -> None:
    """Cut-outs, seconds and the rise of memory of one way."""
    table = catalogue(options.objects, options.side)
    peak: dict[str, float] = {}
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(stop, peak))
    watcher.start()
    time.sleep(0.1)
    before = dict(peak)
    number, seconds, used = timed(partial(WAYS[way], folder, table, options))
    time.sleep(0.05)
    stop.set()
    watcher.join()
    out.put((number, seconds, used, peak["RssAnon"] - before["RssAnon"], peak["VmRSS"] - before["VmRSS"]))


def main() -> None:
    """Measure every way and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--bands", type=int, default=12)
    parser.add_argument("--side", type=int, default=5000)
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--reference", type=int, default=1000, help="objects for the slow ways")
    parser.add_argument("--reference-bands", type=int, default=2, help="bands for Cutout2D")
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary folder is made")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_mosaics(folder, options.bands, options.side)
        print(f"{options.objects} objects, {options.bands} bands of {options.side} px, {options.size_px} px")
        print("| way | cut-outs | s | CPU s | cut-outs/s | per CPU s | x Cutout2D | anon. MiB | all MiB |")
        reference = 0.0
        for way in WAYS:
            queue: multiprocessing.Queue = context.Queue()
            process = context.Process(target=measure, args=(way, folder, options, queue))
            process.start()
            number, seconds, used, anonymous, whole = queue.get(timeout=1800)
            process.join()
            reference = reference or number / used
            print(
                f"| {way} | {number} | {seconds:.1f} | {used:.1f} | {number / seconds:.0f} "
                f"| {number / used:.0f} "
                f"| {number / used / reference:.1f} | {anonymous:.0f} | {whole:.0f} |"
            )


if __name__ == "__main__":
    main()
