"""Verbs that run notebooks: run, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.app import Run, app
from labkit.errors import MissingDataError


@app.command("run")
def run_notebooks(
    sequence: Annotated[Path, typer.Argument(help="declared sequence of notebooks (TOML)")],
    run: Run,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            help="name=value, or step.name=value, in the notebook's units, paths from this folder; repeat",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="run steps that nothing changed for, too")] = False,
) -> None:
    """Execute a sequence of notebooks into a run folder and build its report; unchanged steps are skipped."""
    from labkit.run import parse_assignments, read_sequence, run_sequence
    from labkit.views.report import write_report

    values = parse_assignments(parameter or [])
    done = run_sequence(read_sequence(sequence), run, parameters=values, paths_from=Path.cwd(), force=force)
    for result in done:
        typer.echo(f"{result.name}: {'unchanged' if result.skipped else f'{result.seconds:.0f} s'}")
    typer.echo(write_report(run))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="run folder with executed notebooks")]) -> None:
    """Build the report page of a run folder again."""
    if not run.is_dir():
        raise MissingDataError(f"RUN must be a run folder, got {str(run)!r}; make it with `labkit run`")
    from labkit.views.report import write_report

    typer.echo(write_report(run))
