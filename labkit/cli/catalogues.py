"""Verbs that write a table: find candidates, predict their classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.app import Accept, Device, Overwrite, TableOut, app, bar, refuse_files

if TYPE_CHECKING:
    from astropy.table import Table


@app.command()
def find(
    images: Annotated[
        list[Path], typer.Argument(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")
    ],
    exposure: Annotated[
        list[Path], typer.Option(help="exposure map, s (FITS): one an image, or one for all")
    ],
    out: TableOut,
    regions: Annotated[Path | None, typer.Option(help="region file (.reg) for DS9 to write")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Find candidates in an XMM-Newton observation: sources with extent and likelihoods, C1 first."""
    refuse_files(overwrite, out=out, regions=regions)
    from labkit.finder import find_candidates
    from labkit.sources import read_observation, write_regions
    from labkit.tables import write_table

    with bar("fits", unit="fit") as progress:
        candidates = find_candidates(read_observation(images, exposure), progress=progress)
    write_table(candidates, out)
    if regions is not None:
        write_regions(candidates, regions)
    typer.echo(f"{out}: {len(candidates)} sources, {candidates['c1'].sum()} of them C1")


@app.command()
def predict(
    sample: Annotated[Path, typer.Argument(help="folder of a Sample, raw or normalised")],
    run: Annotated[str, typer.Option(help="run folder with trained models, or a model's own folder")],
    out: TableOut,
    experiment: Annotated[str | None, typer.Option(help="only the models of this experiment")] = None,
    views: Annotated[int, typer.Option(min=1, help="number of randomly turned views to average over")] = 1,
    device: Device = "auto",
    accept: Accept = None,
    overwrite: Overwrite = False,
) -> None:
    """Write what trained models say of a Sample: probabilities (0 to 1) of each object by each of them.

    Of models of numbers, means and widths. `labkit rank` makes a ranked catalogue of probabilities.
    """
    refuse_files(overwrite, out=out)
    from labkit import learn
    from labkit.sample import Sample

    data = Sample.load(sample)
    predictions = learn.predict(
        run, data, experiment=experiment, device=device, views=views,
        accept=[one.value for one in accept or ()],
    )  # fmt: skip
    predictions.save(out)
    models = sum(1 for _ in predictions.runs())
    typer.echo(f"{out}: {len(predictions)} rows, {len(data)} objects by {models} models")


@app.command("rank")
def rank_objects(
    predictions: Annotated[
        Path, typer.Argument(help="table that predict wrote, or predictions.parquet of a run")
    ],
    sample: Annotated[Path, typer.Argument(help="folder of the Sample, raw or normalised")],
    out: TableOut,
    overwrite: Overwrite = False,
) -> None:
    """Write the ranked catalogue: mean probability (0 to 1) and scatter over the models, best first."""
    refuse_files(overwrite, out=out)
    from labkit.evaluate import rank
    from labkit.predictions import load_predictions
    from labkit.sample import Sample
    from labkit.tables import write_table

    ranked = rank(load_predictions(predictions), Sample.load(sample).catalogue)
    write_table(ranked, out)
    typer.echo(f"{out}: {len(ranked)} objects{_best(ranked)}")


def _best(ranked: Table) -> str:
    """The first object of a ranked catalogue in words, where there is one."""
    p = ranked.colnames[2]
    return f", best {ranked['object_id'][0]} with {p} = {ranked[p][0]:.3f}" if len(ranked) else ""
