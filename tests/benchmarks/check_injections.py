"""Inject simulated clusters into real XMM-Newton observations: how complete is the finder there?

Run ``python tests/benchmarks/check_injections.py [--real FOLDER] [--out FOLDER] [--each N] [--processes N]``.
FOLDER holds observations of Abell 907 (``xmm/a907_*``); the cluster is masked. Clusters are simulated, images
real. Prints the time, completeness against flux for three extents beside the fitted selection function, how
well that predicts held-out copies, and copies searched whole beside those searched near the clusters. Before
that, on simulated fields, completeness by injection beside that of the clusters which the fields hold.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from timing import timed

from labkit.evaluate import (
    counted_completeness,
    cross_validate,
    expected_completeness,
    fit_selection,
    probability_bins,
)
from labkit.finder import Selection, inject, search
from labkit.finder.injection import Target, match, search_copy
from labkit.finder.simulated import as_observation
from labkit.simulate import ECF, cluster_grid, cluster_population, read_recipe
from labkit.simulate.field import draw_sources
from labkit.simulate.found import draw_found_field
from labkit.simulate.xmm import draw_pointing
from labkit.sources import read_observation
from labkit.sources.xmm import EPIC
from labkit.views.export import save_figure
from labkit.views.selection import area_curves, completeness_curves

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
#: Abell 907 and a circle around it (degrees, arcmin).
MASKED = Table({"ra": [149.592], "dec": [-11.064], "radius": [6.0]})
#: Edges of fluxes, within R500, at which simulated fields are compared.
BINS = (3e-14, 6e-14, 1.2e-13, 2.4e-13, 5e-13)
FLUXES, EXTENTS = np.geomspace(1e-14, 6e-13, 8), (10.0, 20.0, 40.0)


def print_whole(observation, injections, copies):
    """Copies searched as a whole and near the clusters alone."""
    selection = Selection()
    before = search(observation, selection=selection)
    target = Target(observation, tuple(EPIC.values()), before, selection, ECF)
    differ, counts, seconds = 0, [], np.zeros(2)
    for copy in range(copies):
        clusters = [dict(zip(row.colnames, map(float, row.values()), strict=True))
                    for row in Table(injections["x", "y", "flux", "extent", "axis_ratio", "angle"],
                                     copy=True)[injections["copy"] == copy]]  # fmt: skip
        rng = np.random.default_rng(copy)
        added = np.sum([target.counts(rng, cluster) for cluster in clusters], axis=0)
        found = [timed(partial(search_copy, target, clusters, added, whole=whole)) for whole in (False, True)]
        seconds += [cpu for *_, cpu in found]
        for cluster in clusters:
            rows = [match(target, cluster, table) for table, *_ in found]
            seen = [
                (row >= 0, *(row >= 0 and table[name][row] for name in ("candidate", "c1")))
                for row, (table, *_) in zip(rows, found, strict=True)
            ]
            differ += seen[0] != seen[1]
            if min(rows) >= 0:
                counts.append(
                    [float(t["counts"][row].value) for row, (t, *_) in zip(rows, found, strict=True)]
                )
    near, whole = np.array(counts).T
    off = np.percentile(np.abs(near / whole - 1), [50, 90, 100])
    print(f"{copies} copies near / whole: {seconds[0] / copies:.1f} / {seconds[1] / copies:.1f} s CPU each; "
          f"{differ} verdicts differ; counts differ by {off[0]:.2%} (median), {off[1]:.2%} (90 %), "
          f"{off[2]:.1%} at most")  # fmt: skip


def print_simulated(fields, out):
    """Clusters injected into simulated fields beside those that these fields hold, by C1 and flux."""
    recipe, rng = read_recipe(), np.random.default_rng(5)
    seed, rows = recipe.meta["seed"], []
    c1 = {(one["field"], one["source"]) for one in recipe[recipe["c1"]]}
    for number in range(recipe.meta["fields"]):
        drawing = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        pointing = draw_pointing(drawing)  # as `labkit.simulate.found.draw_found_field` begins
        for row, source in enumerate(draw_sources(drawing, pointing, enriched=True)):
            u, v = pointing.to_detector(*source.place)
            if source.kind == "cluster" and pointing.counts_per_flux(u[None], v[None])[0] > 0:
                rows.append((source.flux, 10.0, (number, row) in c1))
    there = QTable(rows=rows, names=("flux", "extent", "c1"))
    drawn = cluster_population(3000, flux_limit=BINS[0], rng=rng)
    place = np.digitize(drawn["flux_500"].value, BINS) - 1
    each = 15 * fields // (len(BINS) - 1)
    chosen = np.concatenate([np.flatnonzero(place == number)[:each] for number in range(len(BINS) - 1)])
    clusters, injected = drawn[rng.permutation(chosen)], []
    for number, part in enumerate(np.array_split(np.arange(len(clusters)), fields)):
        field = as_observation(draw_found_field(seed, number))
        injected.append(inject(field, clusters[part], out / f"simulated_{number}.parquet", seed=number))
    found = vstack(injected, metadata_conflicts="silent")
    found["flux"] = found["flux_500"]
    beside = [counted_completeness(one, flux=BINS, extent=(1, 1000)) for one in (there, found)]
    for name, table in zip(("that are there", "injected"), beside, strict=True):
        words = [
            f"{flux:.1e}: {share:.2f} [{low:.2f}, {high:.2f}] ({n})"
            for _, flux, n, share, low, high in Table(table).iterrows()
        ]
        print(f"simulated fields, clusters {name}, C1 at flux: {'; '.join(words)}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "labkit_injections")
    parser.add_argument("--each", type=int, default=84)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--simulated", type=int, default=16, help="simulated fields to inject into")
    parser.add_argument("--whole", type=int, default=4, help="copies to search as a whole, too")
    options = parser.parse_args()
    if options.simulated:
        print_simulated(options.simulated, options.out)
    for folder in sorted((options.real / "xmm").glob("a907_*")):
        files = [[folder / f"{camera}_0.5-2.0keV_{kind}.fits.gz" for camera in ("pn", "mos1", "mos2")]
                 for kind in ("image", "exposure")]  # fmt: skip
        observation, rng = read_observation(*files), np.random.default_rng(1)
        clusters = cluster_grid(FLUXES, EXTENTS, axis_ratio=0.8, each=options.each, rng=rng)
        path = options.out / f"{folder.name}.parquet"
        settings = {"seed": 1, "masked": MASKED, "n_jobs": options.processes, "progress": True}
        found, wall, cpu = timed(partial(inject, observation, clusters, path, **settings))
        print(
            f"{folder.name}: {len(found)} {found.meta['injected']}, {found.meta['copies']} copies, "
            f"{found.meta['area'] * 3600:.0f} arcmin2; {wall:.0f} s, {cpu:.0f} s CPU in this process"
        )
        if options.whole:
            print_whole(observation, found, options.whole)
        for selected in ("detected", "c1"):
            counted = counted_completeness(found, selected=selected)
            function = fit_selection(found, selected=selected)
            model = expected_completeness(function, found, flux=FLUXES, extent=EXTENTS)
            counted["function"] = model["completeness"]
            counted["flux"].info.format, about = ".2e", function.about
            for name in counted.colnames[3:]:
                counted[name].info.format = ".2f"
            print("\n".join(counted.pformat(max_lines=-1, max_width=-1)))
            print(
                f"{selected}: held-out log loss {about['log_loss']:.3f} ({about['log_loss_constant']:.3f} of "
                f"a constant), Brier {about['brier']:.3f} ({about['brier_constant']:.3f})"
            )
            held_out = cross_validate(found, selected=selected)
            bins = probability_bins(held_out["p"], held_out["selected"], bins=5)
            print("\n".join(bins.pformat(max_lines=-1, max_width=-1)))
            title = (
                f"Simulated clusters in real images, {observation.about['observation']}: {selected.upper()}"
            )
            figure = completeness_curves(found, function, selected=selected, title=title)
            save_figure(figure, options.out / f"{folder.name}_{selected}.png")
        figure = area_curves(function, found, extent=EXTENTS, title=f"C1 in {folder.name}")
        save_figure(figure, options.out / f"{folder.name}_area.png")
        print(f"circle of {MASKED['radius'][0] * u.arcmin} about Abell 907 masked; figures in {options.out}")


if __name__ == "__main__":
    main()
