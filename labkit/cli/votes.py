"""The verb for volunteers' answers: an export in, votes on every subject out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.app import app, check_ending
from labkit.errors import InputError


class Way(StrEnum):
    """Ways to combine votes, as in `labkit.votes.consensus`."""

    weighted = "weighted"
    majority = "majority"
    dawid_skene = "dawid-skene"


@app.command("votes")
def votes(
    answers: Annotated[Path, typer.Argument(help="classification export of Zooniverse (CSV)")],
    out: Annotated[
        Path,
        typer.Option(callback=check_ending, help="votes to write, by ending .ecsv .csv .fits .parquet"),
    ],
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
        options = {
            "workflow": workflow,
            "versions": tuple(version) if version else None,
            "reworded": reworded,
        }
        found = read_export(answers, tree, **options, logged_out=True, repeats="all")
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
