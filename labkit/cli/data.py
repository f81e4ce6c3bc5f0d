"""Verbs that make Samples of candidates and lists of them: simulate, fetch, find, observe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.options import CATALOGUE_ENDINGS, Out, Overwrite, Seed, SizePx, bar, free, watched
from labkit.cli.verbs import app, simulate_app

__all__ = ["fetch_kosiba2020", "find", "observe", "simulate_observation", "simulate_survey"]

fetch_app = typer.Typer(help="Fetch published data sets.", no_args_is_help=True)
app.add_typer(fetch_app, name="fetch")


class Outside(StrEnum):
    """What to do with candidates off the image, as in `labkit.sources.candidates_sample`."""

    refuse = "raise"
    drop = "drop"


class WithoutPlate(StrEnum):
    """What to do where candidates lie on no plate, as in `labkit.sources.candidates_sample`."""

    refuse = "raise"
    drop = "drop"
    omit = "omit band"


@simulate_app.command("survey")
def simulate_survey(
    out: Out,
    objects: Annotated[
        int | None, typer.Option(min=1, help="number of candidates  [default: the paper's 1707]")
    ] = None,
    hunt: Annotated[
        bool, typer.Option(help="add the 1196 candidates that only volunteers saw (in proportion)")
    ] = False,
    size_px: SizePx = 178,
    seed: Seed = 1,
    processes: Annotated[
        int, typer.Option(min=1, help="number of processes; the result does not depend on them")
    ] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate X-CLASS-like candidates in two bands, as a raw Sample (X-ray in counts per pixel)."""
    free(out, overwrite)
    from labkit.simulate import KOSIBA_HUNT
    from labkit.simulate import simulate_survey as verb

    sample = verb(
        seed,
        n_objects=objects,
        hunt=KOSIBA_HUNT if hunt else None,
        size_px=size_px,
        n_jobs=processes,
        progress=watched(),
        path=out,
        overwrite=overwrite,
    )
    typer.echo(f"{out}: {sample!r}")


@simulate_app.command("observation")
def simulate_observation(
    out: Out,
    seed: Seed = 1,
    pixel_scale: Annotated[float, typer.Option(min=0.1, help="pixel size, arcsec")] = 4.35,
    size_px: Annotated[int, typer.Option(min=8, help="pixels along a side of the field")] = 512,
    overwrite: Overwrite = False,
) -> None:
    """Simulate one EPIC field: images (counts) and exposure maps (s) of the cameras, and the true sources."""
    free(out, overwrite)
    from labkit.simulate import simulate_observation as verb

    verb(seed, pixel_scale_arcsec=pixel_scale, size_px=size_px, path=out, overwrite=overwrite)
    typer.echo(f"{out}: {', '.join(sorted(file.name for file in out.iterdir()))}")


@fetch_app.command("kosiba2020")
def fetch_kosiba2020(
    out: Out,
    copy: Annotated[
        Path | None, typer.Option(help="a copy you have: the zip, or the unpacked folder")
    ] = None,
    validation: Annotated[
        float,
        typer.Option(min=0, max=0.99, help="share of the training images set aside for validation, 0 to 1"),
    ] = 0.2,
    channels: Annotated[
        str | None,
        typer.Option(help="order of the channels, as in empty,xray,optical  [default: read from them]"),
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fetch the training set of Kosiba et al. 2020 (Zenodo 7236582, 259 MB), as a normalised Sample.

    The download is kept in the user's cache folder, or in the one that LABKIT_CACHE names.
    """
    free(out, overwrite)
    from labkit.sources import fetch_kosiba2020 as verb

    with bar("download", unit="byte") as fetched, bar("read") as progress:
        sample = verb(
            copy,
            output=out,
            validation_fraction=validation,
            channels=channels.split(",") if channels else None,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
            download_progress=fetched,
        )
    typer.echo(f"{out}: {sample!r}")


@app.command()
def find(
    images: Annotated[
        list[Path], typer.Argument(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")
    ],
    exposure: Annotated[
        list[Path], typer.Option(help="exposure map, s (FITS): one an image, or one for all")
    ],
    out: Annotated[
        Path,
        typer.Option(help=f"catalogue to write, replaced if it is there: {', '.join(CATALOGUE_ENDINGS)}"),
    ],
    regions: Annotated[
        Path | None, typer.Option(help="region file (.reg) for DS9 to write, replaced if it is there")
    ] = None,
) -> None:
    """Find candidates in an XMM-Newton observation: sources with extent and likelihoods, C1 first."""
    if out.suffix not in CATALOGUE_ENDINGS:
        raise typer.BadParameter(f"--out must end in one of {', '.join(CATALOGUE_ENDINGS)}, got {str(out)!r}")
    from labkit.finder import find_candidates
    from labkit.sources import read_observation, write_regions
    from labkit.tables import write_catalogue

    with bar("fits", unit="fit") as progress:
        candidates = find_candidates(read_observation(images, exposure), progress=progress)
    write_catalogue(candidates, out)
    if regions is not None:
        write_regions(candidates, regions)
    typer.echo(f"{out}: {len(candidates)} sources, {candidates['c1'].sum()} of them C1")


@app.command()
def observe(
    out: Out,
    image: Annotated[
        list[Path], typer.Option(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")
    ],
    candidates: Annotated[
        Path,
        typer.Option(
            help="table (FITS, ECSV, CSV, VOTable) with ra and dec in degrees, or a DS9 region file"
        ),
    ],
    exposure: Annotated[
        list[Path] | None, typer.Option(help="exposure map, s (FITS): one an image, or one for all")
    ] = None,
    plate: Annotated[list[Path] | None, typer.Option(help="optical plate (FITS); repeat for more")] = None,
    size_px: SizePx = 178,
    outside: Annotated[Outside, typer.Option(help="candidates off the image")] = Outside.refuse,
    without_plate: Annotated[
        WithoutPlate, typer.Option(help="candidates on no plate as a whole")
    ] = WithoutPlate.refuse,
    overwrite: Overwrite = False,
) -> None:
    """Cut the candidates of an XMM-Newton observation out, 7 x 7 arcmin each, as a raw Sample."""
    free(out, overwrite)
    from labkit.sources import candidates_sample, read_observation

    sample = candidates_sample(
        read_observation(image, exposure or None),
        candidates,
        pixels=size_px,
        optical=plate or None,
        outside=outside.value,
        without_optical=without_plate.value,
    )
    sample.save(out, overwrite=overwrite)
    typer.echo(f"{out}: {sample!r}")
