"""The simulated HST sky beside real cut-outs and published numbers: noise, colours, photometry, selection.

Run ``python tests/benchmarks/check_hst_sky.py OUT [--real FOLDER] [--clusters R2248 M0416 ...]``; cut-outs of
field galaxies of CANDELS are in ``FOLDER/hst``. Prints the correlation of blank pixels, the scatter of blank
apertures over their quoted errors, members' colours against the red sequence, the efficiency of a forest on
magnitudes measured on the mosaics, and who got a spectrum; ``stamps.png`` shows real and simulated discs on
one stretch. About 10 s of processor time a field, nearly all of it for photometry.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
import sep
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.stats import mad_std
from astropy.table import QTable, join, vstack
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, gaussian_filter

from labkit import evaluate, red_sequences
from labkit.images.coordinates import pixel_scale_arcsec, sky_to_pixel
from labkit.photometry.detection import frame
from labkit.simulate.hst import simulate_fields
from labkit.simulate.hst.bands import drizzle_kernel
from labkit.simulate.hst.population import is_member
from labkit.sources.members import measure_fields
from labkit.tables import text

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
SEEN = ("F435", "F606", "F814", "F105", "F140", "F160")
LAGS = 5
NATIVE = {"acs": 0.05, "wfc3": 0.128}
PUBLISHED = {"< -0.5": "0.058", "< 0": "0.608", "< -0.16": "about 0.34"}


def blank(image: NDArray) -> NDArray:
    """Pixels far from anything that stands out of the smoothed image."""
    good = np.isfinite(image) & (image != 0)
    smooth = gaussian_filter(np.where(good, image - np.median(image[good]), 0), 2.0)
    sky = good.copy()
    for _ in range(6):
        level = np.median(smooth[sky]) + 2 * mad_std(smooth[sky])
        sky = good & ~binary_dilation(smooth > level, iterations=3)
    return sky


def correlation(image: NDArray) -> NDArray:
    """Correlation of blank pixels 1 to 5 apart, mean of both axes."""
    sky, found = blank(image), []
    noise = np.where(sky, image - image[sky].mean(), 0)
    for axis in (0, 1):
        values, there = np.moveaxis(noise, axis, 0), np.moveaxis(sky, axis, 0)
        pairs = [
            (values[n:] * values[:-n]).sum() / (there[n:] & there[:-n]).sum() for n in range(1, LAGS + 1)
        ]
        found.append(np.array(pairs) / (noise[sky] ** 2).mean())
    return np.mean(found, axis=0)


def expected(native: float, scale: float) -> NDArray:
    """The same of drizzled noise by its geometry."""
    taps = drizzle_kernel(native, pixfrac=0.8, scale_arcsec=scale)
    whole = np.correlate(taps, taps, "full")[len(taps) :] / np.sum(taps**2)
    return np.pad(whole, (0, LAGS))[:LAGS]


def line(name: str, values: NDArray, digits: int = 2) -> str:
    return f"{name:48s} " + " ".join(f"{value:6.{digits}f}" for value in values)


def real_stamps(folder: Path) -> Iterator[tuple[str, NDArray, float]]:
    """Name, pixels and pixel scale of the real cut-outs."""
    for path in sorted(folder.glob("*.fits")):
        with fits.open(path) as hdus:
            one = next(hdu for hdu in hdus if hdu.data is not None)
            yield path.stem, one.data.astype(np.float32), float(pixel_scale_arcsec(WCS(one.header)))


def noise_table(real: Path, fields: QTable) -> None:
    """Lags of real and simulated noise, and blank apertures over quoted errors."""
    print(f"correlation of blank pixels at lags 1 to {LAGS}")
    for name, image, scale in real_stamps(real):
        print(line(f"{name[-38:]} {scale:.2f}", correlation(image)))
    for camera, scale in (("acs", 0.03), ("wfc3", 0.06), ("acs", 0.065), ("wfc3", 0.065)):
        print(line(f"drizzle geometry, {camera} at {scale}", expected(NATIVE[camera], scale)))
    folder, short = Path(str(fields["folder"][0])), fields["short"][0]
    for band in ("F606", "F814", "F105", "F160"):
        image = fits.getdata(folder / f"{short}_{band}.fits").astype(np.float32)
        print(line(f"simulated, {short} {band} at 0.065", correlation(image)))
        one, rng, errors = frame(band, image, meshes=(462, 62)), np.random.default_rng(1), []
        sky = blank(image) & np.isfinite(image)
        y, x = (axis.astype(float) for axis in np.nonzero(sky))
        chosen = rng.choice(len(x), 4000)
        for diameter in (0.4, 1.0):
            radius = diameter / 2 / 0.065
            light, error, _ = sep.sum_circle(one.fine, x[chosen], y[chosen], radius, err=one.noise, mask=~sky)
            errors.append(mad_std(light / error))
        print(line('   scatter of 0.4" and 1" over quoted error', np.array(errors)))


def galaxies_of(fields: QTable) -> QTable:
    """Sources with spectra: measured magnitudes, label, and what they are."""
    parts = []
    for row in fields:
        folder = Path(str(row["folder"]))
        listed, truth = (QTable.read(folder / f"{name}.fits") for name in ("catalogue", "truth"))
        listed = join(listed[listed["z_quality"] >= 2], truth["source_id", "kind", "interloper"], "source_id")
        listed.rename_column("source_id", "object_id")
        listed["cluster"], listed["cluster_redshift"] = str(row["short"]), row["redshift"]
        listed["member"] = is_member(listed["z_spec"], row["redshift"])
        parts.append(listed)
    known = vstack(parts, metadata_conflicts="silent")
    measured = measure_fields(fields, known["object_id", "ra", "dec", "cluster"])
    names = {"table_names": ["listed_", ""], "uniq_col_name": "{table_name}{col_name}"}
    found = join(known, measured, ["object_id", "cluster"], **names)
    found["label"] = np.where(found["member"], "member", "non-member")
    return found[np.isfinite(found["aper_F105"]) & np.isfinite(found["aper_F140"])]


def colours_table(found: QTable) -> None:
    """Members bluer than the red sequence, as published."""
    member, late = np.asarray(found["member"]), text(found["kind"]) == "late"
    share = np.mean(np.asarray(found["interloper"])[member])
    print(f"members: {member.sum()}, late types {np.mean(late[member]):.3f}, interlopers {share:.3f}")
    for bands, cuts in ((("F606", "F814"), (-0.5, 0)), (("F814", "F160"), (-0.16,))):
        found_in = red_sequences(found, member, bands=bands)
        known = np.isfinite(found_in.differential)
        for cut in cuts:
            inside, outside = (np.mean(found_in.differential[known & who] < cut) for who in (member, ~member))
            name = f"< {cut:g}"
            print(f"{'-'.join(bands)} {name}: {inside:.3f} published {PUBLISHED[name]}; others {outside:.3f}")


def forest_table(found: QTable, trees: int) -> None:
    """Out-of-fold efficiency of a forest on colours, magnitude and redshift of the cluster."""
    given = {"reference": "F814", "bands": SEEN[:5], "colour": "aper_{band}"}
    features = evaluate.catalogue_features(found, **given)
    folds = evaluate.photometric_folds(features["label"], folds=10)
    judged = evaluate.variant_predictions(
        features, evaluate.feature_sets(features)[0], trees=trees, folds=folds
    )
    right = (judged.score > 0.5) == (judged.true_codes == 1)
    hosts = dict(zip(features["object_id"], features["cluster"], strict=True))
    host = np.array([hosts[name] for name in judged.table["object_id"]])
    each = ", ".join(f"{name} {right[host == name].mean():.3f}" for name in dict.fromkeys(host.tolist()))
    print(f"forest, average efficiency: {right.mean():.3f} (published 0.865 to 0.892); {each}")


def selection_table(fields: QTable) -> None:
    """Share of detected galaxies with a spectrum, in bins of F814, and of those with a brighter one near."""
    edges, parts = np.arange(19.0, 28.5), []
    for row in fields:
        folder = Path(str(row["folder"]))
        listed, truth = (QTable.read(folder / f"{name}.fits") for name in ("catalogue", "truth"))
        truth = truth[~np.isin(text(truth["kind"]), ("star", "icl"))]
        listed = join(listed, truth["source_id", "member", "kind"], "source_id")
        sky = SkyCoord(listed["ra"], listed["dec"])
        away = sky.match_to_catalog_sky(sky, nthneighbor=2)[1]
        listed["crowded"], listed["has"] = away < 1.5 * u.arcsec, listed["z_quality"] >= 2
        parts.append(listed)
    every = vstack(parts, metadata_conflicts="silent")
    print(line("spectra: F814 from", edges[:-1], 0))
    member, late = np.asarray(every["member"]), text(every["kind"]) == "late"
    crowded = np.asarray(every["crowded"])
    groups = {
        "members": member,
        "others": ~member,
        "late others": ~member & late,
        "crowded members": crowded & member,
    }
    for name, group in groups.items():
        place = np.digitize(every["mag_F814"], edges) - 1
        shares = [np.mean(every["has"][group & (place == n)]) if (group & (place == n)).any() else np.nan
                  for n in range(len(edges) - 1)]  # fmt: skip
        print(line(f"   share of {name}", np.array(shares)))
    faint = [np.mean(every["mag_F814"][every["has"] & who] >= 25) for who in (member, ~member)]
    print(
        f"F814 >= 25: {faint[0]:.3f} of members with spectra (published 0.034), "
        f"{faint[1]:.3f} of others (0.373)"
    )


def grey(image: NDArray, side: int = 50) -> NDArray[np.uint8]:
    """A cut-out, three times as large: asinh of the sky's scatter, to the brightest of its pixels."""
    sky = blank(image)
    sky = sky if sky.sum() > 20 else np.isfinite(image)
    scaled = np.arcsinh((image - np.median(image[sky])) / (2 * mad_std(image[sky])))
    shown = np.clip(255 * scaled / max(np.percentile(scaled, 99.7), 2), 0, 255)[:side, :side]
    shown = np.pad(shown, [(0, side - n) for n in shown.shape])
    return np.kron(shown[::-1], np.ones((3, 3))).astype(np.uint8)


def picture(real: Path, fields: QTable, path: Path) -> None:
    """First row real, the others simulated discs; F814 and F160 of each beside each other."""
    stamps = {name: image for name, image, _ in real_stamps(real)}
    rows, row = [], []
    for name in sorted(name for name in stamps if "f814w" in name):
        acs = stamps[name]
        acs = acs[: len(acs) // 2 * 2, : len(acs) // 2 * 2]
        acs = acs.reshape(len(acs) // 2, 2, -1, 2).sum(axis=(1, 3))  # to 0.06 arcsec
        wide = stamps[next(n for n in stamps if n.startswith(name.split("_acs")[0]) and "f160w" in n)]
        side = min(len(acs), len(wide))
        trim = [slice((len(one) - side) // 2, (len(one) + side) // 2) for one in (acs, wide)]
        row += [grey(acs[trim[0], trim[0]]), grey(wide[trim[1], trim[1]])]
    rows.append(row)
    simulated: list[NDArray] = []
    for field in fields:
        folder, short = Path(str(field["folder"])), field["short"]
        truth = QTable.read(folder / "truth.fits")
        with fits.open(folder / f"{short}_F814.fits") as one, fits.open(folder / f"{short}_F160.fits") as two:
            discs = truth[
                (text(truth["kind"]) == "late") & (truth["mag_F814"] < 22) & (truth["mag_F814"] > 20)
            ]
            x, y = sky_to_pixel(WCS(one[0].header), discs["ra"], discs["dec"])
            for i, j in zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
                pair = [hdus[0].data[max(j - 25, 0) : j + 25, max(i - 25, 0) : i + 25] for hdus in (one, two)]
                if all(cut.shape == (50, 50) and np.isfinite(cut).all() for cut in pair):
                    simulated += [grey(cut) for cut in pair]
    width = len(row)
    rows += [simulated[n : n + width] for n in range(0, min(len(simulated), 7 * width), width)]
    canvas = [np.hstack([*one, *[np.zeros_like(one[0])] * (width - len(one))]) for one in rows if one]
    Image.fromarray(np.vstack(canvas)).save(path)


def main() -> None:
    """Print the tables and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--clusters", nargs="*", default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trees", type=int, default=200)
    options = parser.parse_args()
    asked = {"seed": options.seed, "clusters": options.clusters, "bands": SEEN}
    fields = simulate_fields(options.out / "fields", overwrite=True, **asked)
    noise_table(options.real / "hst", fields)
    picture(options.real / "hst", fields, options.out / "stamps.png")
    selection_table(fields)
    found = galaxies_of(fields)
    colours_table(found)
    forest_table(found, options.trees)


if __name__ == "__main__":
    main()
