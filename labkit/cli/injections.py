"""The verb that injects simulated clusters into an observation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option, echo

from labkit.cli.app import Exposure, Group, Images, Processes, Seed, app, at_terminal, refuse_files
from labkit.cli.catalogues import MODELS
from labkit.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table


@app.command(rich_help_panel=Group.candidates)
def inject(
    images: Images,
    exposure: Annotated[list[Path], Exposure],
    out: Annotated[Path, Option(help="Parquet table to write; the same command resumes")],
    flux: Annotated[
        str | None, Option(help="fluxes of a grid, erg/s/cm2 (0.5-2 keV), as 1e-14,3e-14,1e-13")
    ] = None,
    extent: Annotated[str | None, Option(help="core radii of the grid, arcsec, as 10,20,40")] = None,
    axis_ratio: Annotated[str, Option(help="minor over major axes of the grid, 0 to 1, as 0.6,1")] = "0.8",
    each: Annotated[int, Option(min=1, help="clusters of each flux, extent and axis ratio")] = 50,
    population: Annotated[
        int | None, Option(min=1, help="instead of a grid: clusters of the simulated population")
    ] = None,
    flux_limit: Annotated[float, Option(help="least flux within R500 of the population, erg/s/cm2")] = 1e-14,
    mask: Annotated[
        list[str] | None,
        Option(help="ra,dec,radius (degrees, arcmin) without injections, as the target cluster; repeat"),
    ] = None,
    per_copy: Annotated[int, Option(min=1, help="most clusters in one copy of the images")] = 15,
    separation: Annotated[float, Option(help="least angle between clusters of a copy, arcmin")] = 3.0,
    ecf: Annotated[
        float | None,
        Option(help="rate of one MOS over flux, 1e11 counts cm2 / erg  [default: of simulated observations]"),
    ] = None,
    run: Annotated[str | None, Option(help=f"networks to score the found: {MODELS}")] = None,
    threshold: Annotated[
        float | None, Option(min=0, max=1, help="with --run: probability from which a cluster is selected")
    ] = None,
    selected: Annotated[str, Option(help="of --function: detected, candidate or c1")] = "c1",
    function: Annotated[Path | None, Option(help="selection function to fit and write (JSON)")] = None,
    seed: Seed = 1,
    processes: Processes = 1,
    overwrite: Annotated[bool, Option("--overwrite", help="replace the selection function")] = False,
) -> None:
    """Inject simulated clusters and search for them.

    Clusters of a grid, or of the simulated population, in copies of the real images.
    """
    if (population is None) == (flux is None or extent is None):
        raise InputError(
            f"--flux and --extent must be given, or --population, got {flux}, {extent} and {population}"
        )
    if threshold is not None and run is None:
        raise InputError(f"--threshold must stand with --run, got {threshold} alone; name networks")
    refuse_files(overwrite, function=function)
    import astropy.units as u
    import numpy as np

    from labkit.evaluate import fit_selection
    from labkit.finder import inject as verb
    from labkit.simulate import ECF, cluster_grid, cluster_population
    from labkit.sources import read_observation

    rng = np.random.default_rng(seed)
    if population is None:
        axes = {name: _numbers(name, given) for name, given in (("flux", flux), ("extent", extent))}
        ratios = _numbers("axis-ratio", axis_ratio)
        clusters = cluster_grid(**axes, axis_ratio=ratios, each=each, rng=rng)
    else:
        clusters = cluster_population(population, flux_limit=flux_limit, rng=rng)
    found = verb(
        read_observation(images, exposure), clusters, path=out, seed=seed, masked=_circles(mask),
        per_copy=per_copy, separation=separation * u.arcmin, ecf=ECF if ecf is None else ecf, models=run,
        n_jobs=processes, progress=at_terminal(),
    )  # fmt: skip
    words = ", ".join(f"{name} {found[name].sum()}" for name in ("detected", "candidate", "c1"))
    echo(
        f"{out}: {found.meta['injected']}: {len(found)}, copies {found.meta['copies']}, masked places "
        f"{len(found.meta['masked'])}; {words}"
    )
    if function is not None:
        column = selected if threshold is None else "probability"
        fitted = fit_selection(found, selected=column, threshold=threshold)
        fitted.save(function)
        about = fitted.about
        echo(
            f"{function}: {about['selected']}; held-out copies: log loss {about['log_loss']:.3f} (constant "
            f"{about['log_loss_constant']:.3f}), Brier score {about['brier']:.3f} "
            f"({about['brier_constant']:.3f})"
        )


def _circles(mask: list[str] | None) -> "Table":
    """Places without injections: ra, dec, radius."""
    import numpy as np
    from astropy.table import Table

    circles = [_numbers("mask", circle) for circle in mask or []]
    if any(len(circle) != 3 for circle in circles):
        raise InputError(f"--mask must be ra,dec,radius, got {mask}; degrees and arcmin")
    return Table(np.reshape(circles, (-1, 3)), names=("ra", "dec", "radius"))


def _numbers(option: str, given: str | None) -> list[float]:
    try:
        return [float(part) for part in (given or "").split(",")]
    except ValueError:
        raise InputError(f"--{option} must be numbers between commas, got {given!r}") from None
