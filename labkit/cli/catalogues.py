"""Verbs that write a table: find candidates, predict their classes, weigh volunteers' votes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.app import Accept, Device, TableOut, app, bar, check_ending
from labkit.errors import InputError


class Way(StrEnum):
    """Ways to combine votes, as in `labkit.votes.consensus`."""

    weighted = "weighted"
    majority = "majority"
    dawid_skene = "dawid-skene"


@app.command()
def find(
    images: Annotated[
        list[Path], typer.Argument(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")
    ],
    exposure: Annotated[
        list[Path], typer.Option(help="exposure map, s (FITS): one an image, or one for all")
    ],
    out: TableOut,
    regions: Annotated[
        Path | None, typer.Option(help="region file (.reg) for DS9 to write, replaced if it is there")
    ] = None,
) -> None:
    """Find candidates in an XMM-Newton observation: sources with extent and likelihoods, C1 first."""
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
    run: Annotated[Path, typer.Option(help="run folder with trained models")],
    out: TableOut,
    experiment: Annotated[str | None, typer.Option(help="only the models of this experiment")] = None,
    views: Annotated[int, typer.Option(min=1, help="number of randomly turned views to average over")] = 1,
    device: Device = "auto",
    accept: Accept = None,
) -> None:
    """Score a Sample with trained models and write the ranked catalogue (probabilities, 0 to 1).

    Of models of numbers, the table of means and widths.
    """
    from labkit import learn
    from labkit.evaluate import rank
    from labkit.predictions import Estimates
    from labkit.sample import Sample
    from labkit.tables import write_table

    data = Sample.load(sample)
    predictions = learn.predict(
        run, data, experiment=experiment, device=device, views=views,
        accept=[one.value for one in accept or ()],
    )  # fmt: skip
    if isinstance(predictions, Estimates):
        write_table(predictions.table, out)
        typer.echo(f"{out}: {len(predictions)} numbers of {len(data)} objects")
        return
    ranked = rank(predictions, data.catalogue)
    write_table(ranked, out)
    best = f"p = {ranked[f'p_{predictions.positive}'][0]:.3f}"
    typer.echo(f"{out}: {len(ranked)} objects, best {ranked['object_id'][0]} with {best}")


@app.command("votes")
def votes(
    answers: Annotated[Path, typer.Argument(help="classification export of Zooniverse (CSV)")],
    out: TableOut,
    tree: Annotated[str, typer.Option(help="decision tree: a name or a TOML file")] = "hunt",
    method: Annotated[Way, typer.Option(help="how votes are combined")] = Way.weighted,
    flat: Annotated[bool, typer.Option("--flat", help="one answer a row, to one question")] = False,
    workflow: Annotated[str | None, typer.Option(help="workflow id, where there are several")] = None,
    version: Annotated[
        list[str] | None, typer.Option(help="workflow version to read; repeat for more")
    ] = None,
    reworded: Annotated[
        bool, typer.Option("--reworded", help="questions reworded between versions mean the same")
    ] = False,
    steps: Annotated[
        Path | None,
        typer.Option(
            callback=check_ending, help="also write what cleaning and weighting change, subject by subject"
        ),
    ] = None,
) -> None:
    """Weigh volunteers' answers: class, fractions and agreement of every subject."""
    from labkit.sources import read_export, read_flat_answers
    from labkit.tables import write_table
    from labkit.votes import cleaning_steps, consensus

    if flat:
        found = read_flat_answers(answers, tree, logged_out=True, repeats="all")
    else:
        versions = tuple(version) if version else None
        found = read_export(
            answers, tree, workflow=workflow, versions=versions, reworded=reworded, logged_out=True,
            repeats="all",
        )  # fmt: skip
    cleaned = found.clean()
    if not (cleaned.answers.ending >= 0).any():
        raise InputError(
            f"{answers.name} must hold a finished classification of a volunteer who was logged in, got none "
            f"in {cleaned.report.rows} rows (left out: {cleaned.report.dropped}); check the file and --tree"
        )
    typer.echo("\n".join(cleaned.report.table().pformat(max_lines=-1, max_width=-1)))
    table = consensus(cleaned.answers, method=method.value)
    write_table(table, out)
    if steps is not None:
        write_table(cleaning_steps(found.answers), steps)
    people = len(set(cleaned.answers.user.tolist()))
    typer.echo(f"{out}: {len(table)} subjects, {table['n_votes'].sum()} votes of {people} volunteers")
