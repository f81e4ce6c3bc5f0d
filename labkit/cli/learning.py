"""Verbs that train and use networks: train, sweep, predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.app import CATALOGUE_ENDINGS, Device, Run, app, at_terminal, check_ending

if TYPE_CHECKING:
    from labkit.experiment import Experiment


@app.command()
def train(
    sample: Annotated[Path, typer.Argument(help="folder of a normalised Sample")],
    experiment: Annotated[
        list[str], typer.Option(help="a preset (such as CN-E) or an experiment's JSON file; repeat for more")
    ],
    run: Run,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="seed of a run; repeat for more runs")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="passes through the training set, instead of the experiment's")
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=8, help="side of the network's input, pixels")] = None,
    device: Device = "auto",
) -> None:
    """Train experiments; the same command resumes a killed one."""
    from labkit.experiment import Experiment, preset

    given = {"seeds": tuple(seeds) if seeds else None, "epochs": epochs, "image_size": image_size}
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = [
        Experiment.load(name).changed(**changes) if name.endswith(".json") else preset(name, **changes)
        for name in experiment
    ]
    from labkit.run.sweep import sweep as verb

    verb(wanted, sample, run=run, device=device, progress=at_terminal())
    _echo_runs(wanted, run)


@app.command()
def sweep(
    experiments: Annotated[Path, typer.Argument(help="TOML file of declared experiments")],
    sample: Annotated[
        list[Path],
        typer.Argument(help="folders of normalised Samples; each experiment takes the first with its bands"),
    ],
    run: Run,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="name of an experiment of the file; repeat for more")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="table of labels, votes or verdicts to join, [column=]file; repeat for more"),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="seed of a run; repeat for more runs")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="passes through the training set, instead of the file's")
    ] = None,
    workers: Annotated[
        str, typer.Option(help="number of processes (0: this one), auto, or a Dask scheduler's address")
    ] = "auto",
    threads: Annotated[str, typer.Option(help="CPU threads of a run: auto, or a number")] = "auto",
    device: Device = "auto",
) -> None:
    """Train declared experiments with all seeds and folds; the same command resumes a killed one.

    The file states.csv and the page progress.html in the run folder show what each run does.
    """
    from labkit.experiment import read_experiments

    given = {"seeds": tuple(seeds) if seeds else None, "epochs": epochs}
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = read_experiments(experiments, only=only or (), **changes)
    from labkit.run.sweep import sweep as verb

    verb(
        wanted,
        list(sample),
        run=run,
        workers=workers,
        threads=threads,
        device=device,
        labels=labels or (),
        progress=at_terminal(),
    )
    _echo_runs(wanted, run)


def _echo_runs(experiments: Sequence[Experiment], run: Path) -> None:
    """A line for each network: its folder, and its best epoch."""
    from labkit.learn import training_table

    for row in training_table(run, experiments):
        typer.echo(f"{row['folder']}: best epoch {row['epoch'] + 1} of {row['epochs']}")


@app.command()
def predict(
    sample: Annotated[Path, typer.Argument(help="folder of a Sample, raw or normalised")],
    run: Annotated[Path, typer.Option(help="run folder with trained models")],
    out: Annotated[
        Path,
        typer.Option(
            callback=check_ending,
            help=f"ranked catalogue to write, replaced if it is there: {', '.join(CATALOGUE_ENDINGS)}",
        ),
    ],
    experiment: Annotated[str | None, typer.Option(help="only the models of this experiment")] = None,
    views: Annotated[int, typer.Option(min=1, help="number of randomly turned views to average over")] = 1,
    device: Device = "auto",
    accept_normalisation: Annotated[
        bool,
        typer.Option(
            "--accept-normalisation",
            help="score grey levels made in another way than the model's, with a warning",
        ),
    ] = False,
) -> None:
    """Score a Sample with trained models and write the ranked catalogue (probabilities, 0 to 1)."""
    from labkit import learn
    from labkit.evaluate import rank
    from labkit.sample import Sample
    from labkit.tables import write_table

    data = Sample.load(sample)
    predictions = learn.predict(
        run,
        data,
        experiment=experiment,
        device=device,
        views=views,
        accept_normalisation=accept_normalisation,
    )
    ranked = rank(predictions, data.catalogue)
    write_table(ranked, out)
    best = f"p = {ranked[f'p_{predictions.positive}'][0]:.3f}"
    typer.echo(f"{out}: {len(ranked)} objects, best {ranked['object_id'][0]} with {best}")
