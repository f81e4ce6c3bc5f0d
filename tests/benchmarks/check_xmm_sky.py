"""How well to believe the simulated XMM-Newton sky: real observations of Abell 907 beside simulated ones.

Run ``python tests/benchmarks/check_xmm_sky.py REAL [--skies 24] [--broken 8] [--keep DIR] [--figure PNG]``.
REAL holds the observations (``xmm/a907_*``). Each simulated sky is observed twice with roll, exposure times,
lost chip and background of the two real observations, about a twin of the cluster, and the finder lists its
sources (`matched_fields`). Prints, beside the scatter from sky to sky,

* background by camera, off-axis angle and chip, counts per pixel and their correlation, source counts;
* the AUC of classifiers that tell real cut-outs from simulated ones of the same counts and off-axis angle,
  more than 6 arcmin from the cluster. Trained on one observation (or on both), tested on another sector of
  the other one (of either) and on other simulated skies. Each simulated sky in turn takes the place of the
  real one: the mean AUC must be 0.5, the scatter is the noise. Skies with a wider point spread or without
  vignetting show what the test can see;
* the features that differ most.

With ``--figure`` real and simulated cut-outs in random order, the key in a text file beside it. ``--keep``
holds simulated fields for another run. The two real observations show one sky. Nothing is tuned on the
outcome.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from matched_fields import BROKEN, PIXEL, SAME, Seen, find, observe_twin, read_real
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter
from scipy.stats import poisson
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from labkit.evaluate.resampling import percentile_interval
from labkit.images.cutouts import cutouts
from labkit.instruments.epic import CAMERAS, MOS1, PN, vignetting
from labkit.instruments.mirrors import PointSpread, Templates
from labkit.simulate.found import SEARCHED
from labkit.views.gallery import grey_levels, picture

AWAY = 6.0  # arcmin from the cluster
SECTORS, TIMES = 4, 4  # of the sky; simulated objects for each real one
TOLERANCE = (0.25, 1.5)  # in the logarithm of counts, in off-axis angle (arcmin): one unit of distance
COUNTS, ANGLES, LAGS = (15, 30, 60, 120), (6, 8, 10, 12, 15, 18), (1, 2, 3, 5, 9, 17, 33)
HALF = 40  # pixels about a bright point
AREAS = (0, 3, 6, 9, 12, 15, 16, 17, 18)  # arcmin
WIDE, TIGHT = (7 * u.arcmin, 64), (2 * u.arcmin, 28)
MODELS = {
    "logistic": partial(LogisticRegression, C=0.05, class_weight="balanced", max_iter=1000),
    "boosting": partial(
        GradientBoostingClassifier, n_estimators=40, max_depth=2, subsample=0.7, random_state=0
    ),
}


def rings(pixels: int, size: u.Quantity) -> NDArray[np.float64]:
    """Distance of each pixel of a cut-out from its centre, arcsec."""
    offset = (np.arange(pixels) - (pixels - 1) / 2) * size.to_value(u.arcsec) / pixels
    return np.hypot(offset, offset[:, None])


def wide_features(images: NDArray, exposures: NDArray) -> dict[str, NDArray]:
    """What surrounds a source, from cut-outs (n, y, x) of 7 arcmin; exposures are relative to the axis."""
    r = rings(WIDE[1], WIDE[0])
    rows: list[dict[str, float]] = []
    for image, exposure in zip(images, exposures, strict=True):
        on = exposure > 0.02
        sky = on & (r > 60)
        level = image[sky].sum() / max(exposure[sky].sum(), 1e-3)
        model = np.maximum(level * exposure, 1e-3)
        row = {"background": level, "gaps": 1 - on.mean()}
        row["shallow"] = float((exposure[on] < 0.7 * np.median(exposure[on])).mean())
        for least, name in ((0.05, "empty"), (1.5, "above 1.5"), (3.0, "above 3")):
            share = (image[sky] > least).mean()
            row[name] = 1 - share if name == "empty" else share
        deviation = np.where(sky, (image - model) / np.sqrt(model.mean()), 0)
        soft = [gaussian_filter(deviation, s) if s else deviation for s in (0, 1, 2, 4, 8)]
        for scale, (finer, wider) in zip((1, 2, 4, 8), pairwise(soft), strict=True):
            row[f"power {scale} px"] = float(np.log((finer - wider)[sky].std()))
        peaks = 1.2 * 2 * np.sqrt(np.pi) * gaussian_filter(deviation, 1.2)
        top = (peaks == maximum_filter(peaks, 5)) & (r > 40)
        row["neighbours"] = float((top & (peaks > 5)).sum())
        row["brightest neighbour"] = float(np.log(max(peaks[top].max(), 1)))
        columns, lines = (deviation.sum(axis=axis) / np.sqrt(sky.sum(axis=axis) + 1) for axis in (0, 1))
        row["stripes"] = float(max(np.abs(columns).max(), np.abs(lines).max()))
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def tight_features(images: NDArray, exposures: NDArray) -> dict[str, NDArray]:
    """What a source looks like, from cut-outs (n, y, x) of 2 arcmin."""
    r, scale = rings(TIGHT[1], TIGHT[0]), TIGHT[0].to_value(u.arcsec) / TIGHT[1]
    y, x = (np.indices(r.shape) - (TIGHT[1] - 1) / 2) * scale
    total = np.maximum(images[:, r < 60].sum(axis=1), 1)
    found = {
        f"within {radius} arcsec": images[:, r < radius].sum(axis=1) / total
        for radius in (6, 10, 15, 20, 30, 45)
    }
    core = images * (r < 18)
    sums = np.maximum(core.sum(axis=(1, 2)), 0.5)
    cx, cy = ((core * axis).sum(axis=(1, 2)) / sums for axis in (x, y))
    xx, yy, xy = ((core * axis).sum(axis=(1, 2)) / sums for axis in (x * x, y * y, x * y))
    xx, yy, xy = xx - cx**2, yy - cy**2, xy - cx * cy
    found |= {"centroid": np.hypot(cx, cy), "size": np.log(np.maximum(xx + yy, 1))}
    found["elongation"] = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1)
    found["peak"] = images[:, r < 18].max(axis=1) / np.sqrt(sums)
    ring = (r > 40) & (r < 60)
    found["ring scatter"] = images[:, ring].std(axis=1) / np.sqrt(
        np.maximum(images[:, ring].mean(axis=1), 0.02)
    )
    found["central exposure"] = exposures[:, r < 12].mean(axis=1) / np.maximum(
        exposures.mean(axis=(1, 2)), 0.02
    )
    return found


def objects(seen: Seen, number: int, sky: int) -> Table:
    """The sources of an observation: circumstances, cut-outs and features ("wide", "tight")."""
    observation, sources = seen.observation, seen.sources
    deepest = observation.exposure.max()
    cut = {}
    for name, (size, pixels) in (("wide", WIDE), ("tight", TIGHT)):
        options = {"size": size, "pixels": pixels}
        images = cutouts(observation.image, observation.wcs, sources, conserve="flux", **options)
        cut[name] = images, cutouts(observation.exposure, observation.wcs, sources, **options) / deepest
    away = seen.places - seen.target
    table = Table({"ra": sources.ra.deg, "dec": sources.dec.deg, "net": seen.net, "image": cut["wide"][0]})
    table["number"], table["sky"] = number, sky
    table["off_axis"] = PN.off_axis(*seen.pointing.to_detector(*seen.places.T))
    table["away"] = np.hypot(*away.T)
    table["sector"] = np.floor(np.arctan2(*seen.places.T) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    for name, features in (("wide", wide_features(*cut["wide"])), ("tight", tight_features(*cut["tight"]))):
        table[name] = np.column_stack(list(features.values()))
        table.meta[name] = ", ".join(features)
    return table


def both(pair: Sequence[Seen], sky: int) -> Table:
    """Objects of both observations of a sky; those of one place share their ``id``."""
    table = vstack(
        [objects(seen, number, sky) for number, seen in enumerate(pair)], metadata_conflicts="silent"
    )
    place = SkyCoord(table["ra"], table["dec"], unit="deg")
    table["id"] = [int(np.argmax(one.separation(place) < SAME)) for one in place]
    return table


def match(real: Table, pool: Table, times: int = TIMES, sectors: bool = True) -> Table:
    """Simulated objects of matched counts and off-axis angle in the same observation, each once.

    Those of a sector are from skies of their own.
    """
    taken: list[int] = []
    group = np.asarray(pool["sky"] % SECTORS)
    for one in real:
        away = np.hypot(
            (np.log(np.maximum(pool["net"], 5)) - np.log(max(one["net"], 5))) / TOLERANCE[0],
            (pool["off_axis"] - one["off_axis"]) / TOLERANCE[1],
        )
        free = (pool["number"] == one["number"]) & ((group == one["sector"]) | (not sectors))
        free[taken] = False
        nearest = np.argsort(np.where(free, away, np.inf))[:times]
        taken += nearest[free[nearest]].tolist()
    matched = pool[taken]
    if sectors:
        matched["sector"] = group[taken]
    return matched


def scaled(table: Table, reference: Table, columns: Sequence[str]) -> NDArray[np.float64]:
    """Features (n, f) in standard deviations of the reference in the same observation."""
    values, known = (np.column_stack([t[name] for name in columns]) for t in (table, reference))
    result = np.zeros(values.shape)
    for number in (0, 1):
        rows, base = np.asarray(table["number"]) == number, known[np.asarray(reference["number"]) == number]
        result[rows] = (values[rows] - base.mean(axis=0)) / np.maximum(base.std(axis=0), 1e-6)
    return np.clip(result, -5, 5)


def told_apart(
    real: Table, matched: Table, columns: Sequence[str], model: partial, *, strict: bool
) -> NDArray[np.float64]:
    """For each real object the share of simulated ones of its fold that look less real: AUC is its mean.

    Learnt in other sectors of the sky, of the other observation alone where it is `strict`.
    """
    x_real, x_sim = scaled(real, matched, columns), scaled(matched, matched, columns)
    share = np.full(len(real), np.nan)
    for number in (0, 1):
        for sector in range(SECTORS):
            tested, beside = (
                np.asarray((t["number"] == number) & (t["sector"] == sector)) for t in (real, matched)
            )
            if not tested.any():
                continue
            learnt, against = (
                np.asarray((t["sector"] != sector) & ((t["number"] != number) | (not strict)))
                for t in (real, matched)
            )
            x = np.concatenate([x_real[learnt], x_sim[against]])
            y = np.repeat([1, 0], [learnt.sum(), against.sum()])
            fitted: ClassifierMixin = model()
            if "class_weight" in fitted.get_params():
                fitted.fit(x, y)
            else:
                fitted.fit(x, y, sample_weight=np.where(y, (y == 0).sum() / y.sum(), 1.0))
            scores, others = (fitted.predict_proba(v)[:, 1] for v in (x_real[tested], x_sim[beside]))
            share[tested] = ((scores[:, None] > others) + 0.5 * (scores[:, None] == others)).mean(axis=1)
    return share


def interval(share: NDArray, ids: NDArray) -> tuple[float, float]:
    """Bootstrap interval of the mean, sources that are seen twice drawn together."""
    rng, places = np.random.default_rng(0), np.unique(ids, return_inverse=True)[1]
    sums, sizes = np.bincount(places, share), np.bincount(places)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=2000)
    return percentile_interval(drawn @ sums / (drawn @ sizes))


def away_from_cluster(table: Table) -> Table:
    """Objects that the cluster does not outshine."""
    return table[table["away"] > AWAY]


def classify(reals: dict[str, Table], sound: list[Table], broken: dict[str, list[Table]]) -> None:
    """Print AUCs for real, simulated and broken skies in the place of the real one."""
    pool = away_from_cluster(vstack(sound, metadata_conflicts="silent"))
    cases = {name: [away_from_cluster(table)] for name, table in reals.items()}
    like = next(iter(cases.values()))[0]
    for name, tables in {
        "simulated": sound,
        **{f"wrong {kind}": skies for kind, skies in broken.items()},
    }.items():
        cases[name] = [match(like, away_from_cluster(table), 1, sectors=False) for table in tables]
    matched = {name: [match(t, pool[pool["sky"] != t["sky"][0]]) for t in ts] for name, ts in cases.items()}
    for name, tables in cases.items():
        one, like = tables[0], matched[name][0]
        logs = [np.log(np.maximum(np.asarray(t["net"]), 5)) for t in (one, like)]
        print(
            f"  {name:16s} {len(tables)} skies, of the first {len(one)} objects at "
            f"{len(np.unique(one['id']))} places; median counts {np.median(one['net']):.0f} (matched "
            f"{np.median(like['net']):.0f}), mean ln counts {logs[0].mean():.2f} ({logs[1].mean():.2f}), "
            f"off axis {one['off_axis'].mean():.1f} "
            f"({like['off_axis'].mean():.1f}) arcmin"
        )
    print(
        "AUC: [95 % interval over places], share of simulated skies with as much; mean +- scatter over skies"
    )
    print(f"  {'learnt in':18s} {'features':11s} {'model':9s}" + "".join(f"{name:>29s}" for name in cases))
    for where in ("other observation", "both, other sector"):
        for columns in (("wide",), ("tight",), ("wide", "tight")):
            for kind, model in MODELS.items():
                options = {"columns": columns, "model": model, "strict": where == "other observation"}
                shares = {
                    name: [told_apart(t, m, **options) for t, m in zip(ts, matched[name], strict=True)]
                    for name, ts in cases.items()
                }
                means = {name: np.array([one.mean() for one in each]) for name, each in shares.items()}
                cells = []
                for name, auc in means.items():
                    cell = f"{auc.mean():.3f}"
                    if name in reals:
                        low, high = interval(shares[name][0], np.asarray(cases[name][0]["id"]))
                        above = (1 + (means["simulated"] >= auc[0]).sum()) / (1 + len(means["simulated"]))
                        cell += f" [{low:.3f}, {high:.3f}] {above:.2f}"
                    else:
                        cell += f" +- {auc.std(ddof=1):.3f}"
                    cells.append(f"{cell:>29s}")
                print(f"  {where:18s} {'+'.join(columns):11s} {kind:9s}" + "".join(cells))
    features(cases, matched)


def features(cases: dict[str, list[Table]], matched: dict[str, list[Table]]) -> None:
    """Print the features that differ most, in units of their scatter over skies."""
    names = ", ".join(cases["simulated"][0].meta[kind] for kind in ("wide", "tight")).split(", ")
    means = {
        name: np.array(
            [scaled(t, m, ("wide", "tight")).mean(axis=0) for t, m in zip(ts, matched[name], strict=True)]
        )
        for name, ts in cases.items()
    }
    noise = means["simulated"].std(axis=0, ddof=1)
    first = next(iter(cases))
    order = np.argsort(-np.abs(means[first][0] - means["simulated"].mean(axis=0)) / noise)
    print("Mean of a feature less that of matched simulated objects, in standard deviations over objects;")
    print("in brackets in units of its scatter from sky to sky")
    print(f"  {'':22s}" + "".join(f"{name:>20s}" for name in cases))
    for row in order:
        cells = [f"{means[name][:, row].mean():+.2f}" for name in cases]
        away = [
            (means[name][:, row].mean() - means["simulated"][:, row].mean()) / noise[row] for name in cases
        ]
        print(
            f"  {names[row]:22s}"
            + "".join(f"{c + f' ({a:+.1f})':>20s}" for c, a in zip(cells, away, strict=True))
        )


def beside(name: str, real: float, simulated: Sequence[float], form: str = ".3f") -> None:
    """A line: the real value, median and 68 % range of simulated ones, and how many lie above."""
    low, middle, high = np.percentile(simulated, (16, 50, 84))
    above = int((np.asarray(simulated) > real).sum())
    print(
        f"    {name:34s} real {real:{form}}  simulated {middle:{form}} ({low:{form}} to {high:{form}}), "
        f"{above} of {len(simulated)} above"
    )


def surface(seen: Seen) -> dict[str, float]:
    """Background of each camera, counts/s/arcmin2 of exposure on axis, less the cluster: in all, by angle."""
    found = {}
    for camera, counts, (_, flat, gas), angle in zip(
        CAMERAS, seen.observation.cameras[0], seen.parts, seen.off_axis, strict=True
    ):
        net = counts - gas

        def rate(kept: NDArray, net: NDArray = net, flat: NDArray = flat) -> float:
            return 1e3 * float(net[kept].sum() / flat[kept].sum())

        on = seen.blank & (flat > 0)
        found[f"{camera.name}, 1e-3 counts/s/arcmin2"] = mean = rate(on)
        for low, high in pairwise(ANGLES):
            ring = on & (angle >= low) & (angle < high)
            found[f"{camera.name}, {low}-{high} arcmin over mean"] = rate(ring) / mean
    return found


def area(seen: Seen) -> dict[str, float]:
    """Median exposure over that on the axis by off-axis angle, and the share lost inside working chips."""
    u_, v_ = seen.pointing.to_detector(*SEARCHED.positions())
    found = {}
    for camera, exposure, angle in zip(CAMERAS, seen.observation.cameras[1], seen.off_axis, strict=True):
        chip = camera.chip_of(u_, v_)
        dead = np.isin(chip, seen.pointing.dead_chips) if camera is MOS1 else False
        inside = (minimum_filter(np.where(dead, -1, chip), 5) >= 0) & (angle < 14.5)
        relative = exposure[inside] / vignetting(angle[inside])
        lost = 1 - np.minimum(relative / np.median(relative), 1).mean()
        found[f"{camera.name}, share lost inside its chips"] = float(lost)
        share = exposure / (seen.pointing.exposure_s[camera.name] * camera.live)
        for low, high in pairwise(AREAS):
            ring = (angle >= low) & (angle < high) & (exposure > 0)
            if ring.sum() > 100:
                found[f"{camera.name}, {low}-{high} arcmin"] = float(np.median(share[ring]))
    return found


def chips(seen: Seen) -> dict[str, float]:
    """Scatter of the chips of each camera about the expected background, chi-square per degree of freedom."""
    u_, v_ = seen.pointing.to_detector(*SEARCHED.positions())
    found = {}
    for camera, counts, expected in zip(CAMERAS, seen.observation.cameras[0], seen.expected(), strict=True):
        chip = np.where(seen.blank, seen.pointing.chip_of(camera, u_, v_), -1)
        sums = np.array(
            [[image[chip == n].sum() for image in (counts, expected)] for n in range(len(camera.chips))]
        )
        sums = sums[sums[:, 1] > 50]
        model = sums[:, 1] * sums[:, 0].sum() / sums[:, 1].sum()
        found[f"{camera.name}, chi2 of chips / dof"] = float(
            ((sums[:, 0] - model) ** 2 / model).sum() / (len(sums) - 1)
        )
    return found


def blank_pixels(seen: Seen) -> tuple[NDArray, NDArray, NDArray]:
    """The sum of the cameras and its expectation, each camera's scaled to its counts; and what is blank."""
    images, expected = seen.observation.cameras[0], seen.expected()
    kept = seen.blank & (seen.observation.exposure > 0)
    model = np.sum([e * i[kept].sum() / e[kept].sum() for i, e in zip(images, expected, strict=True)], axis=0)
    return seen.observation.image, model, kept & (model > 0)


def pixels(seen: Seen) -> dict[str, float]:
    """Counts per pixel over what Poisson's distribution gives, of the sum of the cameras."""
    image, model, kept = blank_pixels(seen)
    n, mean = image[kept], model[kept]
    found = {"variance over Poisson's": float(((n - mean) ** 2 / mean).mean())}
    found |= {
        f"pixels of {k} over Poisson's": float((n == k).sum() / poisson.pmf(k, mean).sum()) for k in (0, 1, 2)
    }
    return found | {"pixels of 3 or more over Poisson's": float((n > 2).sum() / poisson.sf(2, mean).sum())}


def correlation(seen: Seen) -> dict[str, float]:
    """Mean product of the deviations of two pixels at a distance, 1e-3 of Poisson's variance."""
    image, model, kept = blank_pixels(seen)
    deviation = np.where(kept, (image - model) / np.sqrt(np.where(kept, model, 1)), 0)
    shape = tuple(2 * n for n in image.shape)
    products, pairs = (
        np.fft.irfft2(np.abs(np.fft.rfft2(one, shape)) ** 2, shape) for one in (deviation, kept.astype(float))
    )
    y, x = np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij")
    lag = np.hypot(x, y)
    found = {}
    for low, high in pairwise(LAGS):
        ring = (lag >= low) & (lag < high)
        name = f"{60 * PIXEL * low:.0f}-{60 * PIXEL * high:.0f} arcsec apart, 1e-3"
        found[name] = 1e3 * float(products[ring].sum() / pairs[ring].sum())
    return found


def source_counts(seen: Seen) -> dict[str, float]:
    """Listed sources that the cluster does not outshine."""
    net = seen.net[np.hypot(*(seen.places - seen.target).T) > AWAY]
    return {"listed": float(len(net))} | {
        f"of more than {least} counts": float((net > least).sum()) for least in COUNTS
    }


def point_spread(seen: Seen) -> None:
    """Print the enclosed shares of the brightest point beside those of the simulated point spread."""
    away = np.hypot(*(seen.places - seen.target).T)
    place = seen.places[np.argmax(np.where(away > 3, seen.net, 0))]
    column, row = (place + SEARCHED.half) / PIXEL - 0.5
    corner = round(column) - HALF, round(row) - HALF
    box = np.s_[corner[1] : corner[1] + 2 * HALF + 1, corner[0] : corner[0] + 2 * HALF + 1]
    y, x = np.indices((2 * HALF + 1, 2 * HALF + 1))
    r = np.hypot(x + corner[0] - column, y + corner[1] - row) * 60 * PIXEL
    model, spread, u_v = (
        np.zeros(r.shape),
        np.sum(seen.expected(), axis=0)[box],
        seen.pointing.to_detector(*place),
    )
    for camera, exposure in zip(CAMERAS, seen.observation.cameras[1], strict=True):
        du, dv = u_v[0] - camera.axis[0], u_v[1] - camera.axis[1]
        along = np.degrees(np.arctan2(*seen.pointing.to_image(du, dv)[::-1]))
        kind = PointSpread(float(np.hypot(du, dv)), float(along))
        templates = Templates(r.shape, pixel_arcsec=60 * PIXEL, spread=kind, padding=3.0)
        model += (
            templates.image(column - corner[0], row - corner[1]) * exposure[box] * camera.share / camera.live
        )
    image, ring = seen.observation.image[box], (r > 75) & (r < 120)
    net = image - spread * image[ring].sum() / spread[ring].sum()
    radii = (4.4, 8.7, 13, 17, 22, 30, 40)
    ours, theirs = ([one[r < q].sum() / one[r < 60].sum() for q in radii] for one in (net, model))
    error = np.sqrt([image[r < q].sum() for q in radii]) / net[r < 60].sum()
    print("  brightest point, share of the counts of 60 arcsec within")
    for q, a, e, b in zip(radii, ours, error, theirs, strict=True):
        print(f"    {q:4.1f} arcsec                        real {a:.3f} +- {e:.3f}  simulated {b:.3f}")


#: What is measured of an observation, and how it is printed.
MEASURES = {
    "exposure over that on axis": (area, ".3f"),
    "background": (surface, ".3f"),
    "chips": (chips, ".2f"),
    "counts per pixel": (pixels, ".3f"),
    "correlation of pixels": (correlation, ".2f"),
    "sources": (source_counts, ".1f"),
}


def measured(seen: Seen) -> dict[str, dict[str, float]]:
    """All numbers of an observation."""
    return {about: measure(seen) for about, (measure, _) in MEASURES.items()}


def report(real: Seen, found: Seen, simulated: Sequence[dict[str, dict[str, float]]]) -> None:
    """Print what was matched, and real beside simulated; `found` has the finder's own list."""
    at, (flux, core, cool) = real.pointing, real.gas
    print(
        f"  exposure {', '.join(f'{c} {s:.0f} s' for c, s in at.exposure_s.items())}; background "
        f"{at.background:.2f}, flare {1e3 * at.flare:.2f}e-3 counts/s/arcmin2, lost chips of MOS1 "
        f"{at.dead_chips}; twin: {flux:.2e} erg/s/cm2, core {60 * core:.0f} arcsec, cool core {cool:.2f}"
    )
    ours = measured(found) | {"sources by the list that came with it": source_counts(real)}
    for about, values in ours.items():
        kind = about.split(" by ")[0]
        print(f"  {about}")
        for name, value in values.items():
            beside(name, value, [one[kind][name] for one in simulated], MEASURES[kind][1])


def draw_figure(real: Table, simulated: list[Table], path: Path, pairs: int = 12) -> None:
    """Real cut-outs and matched simulated ones in random order on one grey scale; below near the cluster.

    The key is written to a text file of that name.
    """
    rng, pool = np.random.default_rng(5), vstack(simulated, metadata_conflicts="silent")
    blocks = []
    for near, wanted in ((False, pairs), (True, 4)):
        ours, theirs = ((t[(t["away"] <= AWAY) == near]) for t in (real, pool))
        ours = ours[rng.permutation(len(ours))[:wanted]]
        chosen, taken = [], []
        for one in ours:
            distance = np.abs(np.log(np.maximum(theirs["net"], 5) / max(one["net"], 5))) / TOLERANCE[0]
            distance += np.abs(theirs["off_axis"] - one["off_axis"]) / TOLERANCE[1]
            distance[(theirs["number"] != one["number"]) | np.isin(np.arange(len(theirs)), taken)] = np.inf
            taken.append(int(np.argmin(distance)))
            chosen.append(theirs[taken[-1]])
        rows = [*((row, "real") for row in ours), *((row, "simulated") for row in chosen)]
        blocks += [rows[n] for n in rng.permutation(len(rows))]
    limits, side, across = (0.0, float(np.percentile(away_from_cluster(real)["image"], 99.9))), 192, 8
    sheet = Image.new("L", (across * side, -(-len(blocks) // across) * side))
    pen, key = ImageDraw.Draw(sheet), []
    for n, (row, kind) in enumerate(blocks):
        corner = n % across * side, n // across * side
        levels = grey_levels(row["image"], limits=limits, stretch="sqrt")
        sheet.paste(picture(levels, side - 4).convert("L"), corner)
        pen.text((corner[0] + 4, corner[1] + 4), str(n + 1), fill=255)
        key.append(
            f"{n + 1}\t{kind}\tobservation {row['number'] + 1}\t{row['net']:.0f} counts\t"
            f"{row['away']:.1f} arcmin from the cluster"
        )
    sheet.save(path)
    path.with_suffix(".txt").write_text("\n".join([*key, ""]))
    print(
        f"{path}: {len(blocks)} cut-outs, 0 to {limits[1]:.1f} counts per pixel; the last 8 within {AWAY:g} "
        "arcmin of the cluster"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("real", type=Path, help="folder of real data")
    parser.add_argument("--skies", type=int, default=24, help="at least 8, two for each sector")
    parser.add_argument("--broken", type=int, default=8, help="skies of each kind that a test must recognise")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.skies < 2 * SECTORS or options.broken == 1:
        parser.error(f"--skies must be at least {2 * SECTORS}, --broken 0 or at least 2")
    real = read_real(options.real)
    found = [replace(one, sources=find(one.observation)) for one in real]
    kinds = {kind: options.broken if kind else options.skies for kind in BROKEN if options.broken or not kind}
    tables: dict[str, list[Table]] = {kind: [] for kind in kinds}
    sound: list[list[dict[str, dict[str, float]]]] = []
    for kind, sky in tqdm(
        [(kind, sky) for kind, number in kinds.items() for sky in range(number)], unit="sky"
    ):
        pair = [observe_twin(one, sky, n, kind, options.keep) for n, one in enumerate(real)]
        tables[kind].append(both(pair, sky))
        if not kind:
            sound.append([measured(one) for one in pair])
    for number, (one, ours) in enumerate(zip(real, found, strict=True)):
        print(f"Observation {number + 1}, beside {len(sound)} simulated ones")
        report(one, ours, [pair[number] for pair in sound])
        point_spread(ours)
    reals = {"listed": both(real, -1), "found": both(found, -1)}
    print("Real against simulated cut-outs")
    simulated = tables.pop("")
    classify(reals, simulated, tables)
    if options.figure:
        draw_figure(reals["listed"], simulated, options.figure)


if __name__ == "__main__":
    main()
