"""The verb for volunteers' answers: an export in, votes on every subject out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.options import CATALOGUE_ENDINGS
from labkit.cli.verbs import app
from labkit.errors import InputError

__all__ = ["votes"]


class Way(StrEnum):
    """Ways to combine votes, as in `labkit.votes.consensus`."""

    weighted = "weighted"
    majority = "majority"
    dawid_skene = "dawid-skene"


@app.command("votes")
def votes(
    answers: Annotated[Path, typer.Argument(help="classification export of Zooniverse (CSV)")],
    out: Annotated[Path, typer.Option(help="votes to write, by ending .ecsv .csv .fits .parquet")],
    tree: Annotated[str, typer.Option(help="decision tree: a name or a TOML file")] = "hunt",
    method: Annotated[Way, typer.Option(help="how votes are combined")] = Way.weighted,
    flat: Annotated[bool, typer.Option("--flat", help="one answer a row, to one question")] = False,
    workflow: Annotated[str | None, typer.Option(help="workflow id, where there are several")] = None,
    version: Annotated[
        list[str] | None, typer.Option(help="workflow version to read; repeat for more")
    ] = None,
    steps: Annotated[
        Path | None, typer.Option(help="also write what cleaning and weighting change, subject by subject")
    ] = None,
) -> None:
    """Weigh volunteers' answers: class, fractions and agreement of every subject."""
    for path in (out, steps):
        if path is not None and path.suffix not in CATALOGUE_ENDINGS:
            raise InputError(f"{str(path)!r} must end in one of {CATALOGUE_ENDINGS}; choose such a name")
    from labkit.sources import read_export, read_flat_answers
    from labkit.tables import write_catalogue
    from labkit.votes import cleaning_steps, consensus, drop_logged_out, drop_repeats

    if flat:
        found = read_flat_answers(answers, tree, logged_out=True, repeats="all")
    else:
        versions = tuple(version) if version else None
        found = read_export(
            answers, tree, workflow=workflow, versions=versions, logged_out=True, repeats="all"
        )
    typer.echo("\n".join(found.report.table().pformat(max_lines=-1, max_width=-1)))
    cleaned = drop_repeats(drop_logged_out(found.answers))
    table = consensus(cleaned, method=method.value)
    write_catalogue(table, out)
    if steps is not None:
        write_catalogue(cleaning_steps(found.answers), steps)
    people = len(set(cleaned.user.tolist()))
    typer.echo(f"{out}: {len(table)} subjects, {table['n_votes'].sum()} votes of {people} volunteers")
