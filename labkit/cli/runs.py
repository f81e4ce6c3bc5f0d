"""Verbs that fill a run folder: train, sweep, run, report; and notebooks, which copies what they run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Option, echo

from labkit.cli.app import Device, Epochs, Group, Logger, Run, Seeds, app, at_terminal, split_words
from labkit.errors import MissingDataError

if TYPE_CHECKING:
    from labkit.experiment import Experiment


@app.command(rich_help_panel=Group.train)
def train(
    sample: Annotated[Path, Argument(help="folder of a normalised Sample")],
    experiment: Annotated[
        list[str], Option(help="a preset (such as CN-E) or an experiment's JSON file; repeat for more")
    ],
    run: Run,
    seeds: Seeds = None,
    epochs: Epochs = None,
    image_size: Annotated[int | None, Option(min=8, help="side of the network's input, pixels")] = None,
    bands: Annotated[str | None, Option(help="bands, as in g,r,i  [default: the experiment's]")] = None,
    classes: Annotated[
        str | None, Option(help="classes of your own, as in galaxy,lens  [default: the experiment's]")
    ] = None,
    positive: Annotated[str | None, Option(help="the class that counts as a detection")] = None,
    start: Annotated[
        Path | None, Option(help="folder of a trained model of the same network, to fine-tune")
    ] = None,
    frozen: Annotated[
        int | None, Option(min=-1, help="with --start: first layers to freeze; -1: all but the last")
    ] = None,
    layer_decay: Annotated[
        float | None, Option(help="with --start: rate of a layer over that of the next, 0 to 1")
    ] = None,
    device: Device = "auto",
    logger: Logger = None,
) -> None:
    """Train experiments; the same command resumes a killed one."""
    from labkit.experiment import Experiment, preset

    changes = _given(
        seeds=tuple(seeds) if seeds else None, epochs=epochs, image_size=image_size, bands=split_words(bands),
        classes=split_words(classes), positive=positive, start=start, frozen=frozen,
        layer_decay=layer_decay,
    )  # fmt: skip
    wanted = [
        Experiment.load(name).changed(**changes) if name.endswith(".json") else preset(name, **changes)
        for name in experiment
    ]
    from labkit.run.sweep import sweep as verb

    verb(wanted, sample, run=run, device=device, logger=logger, progress=at_terminal())
    _echo_runs(wanted, run)


@app.command(rich_help_panel=Group.train)
def sweep(
    experiments: Annotated[Path, Argument(help="TOML file of declared experiments")],
    sample: Annotated[
        list[Path],
        Argument(help="folders of normalised Samples; each experiment takes the first with its bands"),
    ],
    run: Run,
    only: Annotated[
        list[str] | None, Option("--only", help="name of an experiment of the file; repeat for more")
    ] = None,
    labels: Annotated[
        list[str] | None,
        Option(help="table of labels, votes or verdicts to join, [column=]file; repeat for more"),
    ] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    workers: Annotated[
        str, Option(help="number of processes (0: this one), auto, or a Dask scheduler's address")
    ] = "auto",
    threads: Annotated[str, Option(help="CPU threads of a run: auto, or a number")] = "auto",
    device: Device = "auto",
    logger: Logger = None,
) -> None:
    """Train declared experiments with all seeds and folds.

    The same command resumes a killed one. The file states.csv and the page progress.html in the run folder
    show what each run does.
    """
    from labkit.experiment import read_experiments

    changes = _given(seeds=tuple(seeds) if seeds else None, epochs=epochs)
    wanted = read_experiments(experiments, only=only or (), **changes)
    from labkit.run.sweep import sweep as verb

    verb(
        wanted, list(sample), run=run, workers=workers, threads=threads, device=device, labels=labels or (),
        logger=logger, progress=at_terminal(),
    )  # fmt: skip
    _echo_runs(wanted, run)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _echo_runs(experiments: "Sequence[Experiment]", run: Path) -> None:
    """A line for each network: its folder, and its best epoch."""
    from labkit.learn import training_table

    for row in training_table(run, experiments):
        echo(f"{row['folder']}: best epoch {row['epoch'] + 1} of {row['epochs']}")


@app.command("run", rich_help_panel=Group.notebooks)
def run_notebooks(
    sequence: Annotated[
        Path, Argument(help="declared sequence of notebooks (TOML); for --list-parameters a notebook, too")
    ],
    run: Annotated[Path | None, Option(help="run folder; not needed for --list-parameters")] = None,
    parameter: Annotated[
        list[str] | None,
        Option(
            "--parameter",
            "-p",
            help="name=value, or step.name=value, in the notebook's units, paths from this folder; repeat",
        ),
    ] = None,
    force: Annotated[bool, Option("--force", help="run steps that nothing changed for, too")] = False,
    jobs: Annotated[int, Option(help="steps at the same time, 0: one for each processor")] = 0,
    dry_run: Annotated[
        bool, Option("--dry-run", help="say which steps would run, and why; run nothing")
    ] = False,
    list_parameters: Annotated[
        bool, Option("--list-parameters", help="list what -p can set, with meanings; run nothing")
    ] = False,
) -> None:
    """Execute a sequence of notebooks and build its report.

    Unchanged steps are skipped.
    """
    from labkit.run.parameters import parse_assignments
    from labkit.run.sequence import plan_sequence, read_sequence, run_sequence

    if list_parameters:
        _echo_parameters(sequence)
        return
    if run is None:
        raise BadParameter("must be given: the folder for everything that is made", param_hint="--run")
    declared, values = read_sequence(sequence), parse_assignments(parameter or [])
    options: dict[str, Any] = {"parameters": values, "paths_from": Path.cwd(), "force": force}
    if dry_run:
        for step in plan_sequence(declared, run, **options):
            echo(f"{step.name}: {'unchanged' if step.skipped else f'would run ({step.reason})'}")
        return
    for step in run_sequence(declared, run, n_jobs=jobs, **options):
        echo(f"{step.name}: {'unchanged' if step.skipped else f'{step.seconds:.0f} s'}")
    from labkit.views.report import write_report

    echo(write_report(run))


def _echo_parameters(source: Path) -> None:
    """A line for each parameter of a notebook, or of each step of a sequence, with what it sets."""
    from labkit.run.parameters import read_parameters, spell
    from labkit.run.sequence import prepare, read_sequence

    if source.suffix == ".ipynb":
        for one in read_parameters(source):
            echo(f"{one.name}: {one.annotation} = {spell(one.default)}  # {one.meaning}")
        return
    run = Path("{run}").resolve()
    for step in prepare(read_sequence(source), run=run):
        for one in read_parameters(step.notebook):
            value = spell(step.parameters[one.name]).replace(str(run), "{run}")
            echo(f"{step.name}.{one.name}: {one.annotation} = {value}  # {one.meaning}")


@app.command(rich_help_panel=Group.notebooks)
def report(
    run: Annotated[Path, Argument(help="run folder with executed notebooks")],
    figures: Annotated[
        Path | None, Option(help="folder for each figure and table (ECSV and LaTeX) of the run")
    ] = None,
    form: Annotated[str, Option("--format", help="of the figures: svg, pdf or png")] = "svg",
    dpi: Annotated[int, Option(min=24, max=1200, help="resolution of a PNG")] = 300,
) -> None:
    """Build a run's report page again; its figures and tables.

    With --figures every numbered figure and table, as files for a paper.
    """
    if not run.is_dir():
        raise MissingDataError(f"RUN must be a run folder, got {str(run)!r}; make it with `labkit run`")
    if form not in ("svg", "pdf", "png"):
        raise BadParameter(f"must be svg, pdf or png, got {form!r}", param_hint="--format")
    from labkit.views.report import write_report

    if figures is not None:
        from labkit.views.export import save_exhibits

        echo(f"{len(save_exhibits(run, figures, ending=f'.{form}', dpi=dpi))} files in {figures}")
    else:
        write_report(run)
    echo(run / "report.html")


@app.command("notebooks", rich_help_panel=Group.notebooks)
def notebooks(
    folder: Annotated[Path, Argument(help="folder of your own for them, made where it is not there")],
    data: Annotated[
        Path | None, Option(help="folder of everything made  [default: data beside FOLDER]")
    ] = None,
) -> None:
    """Copy notebooks, sequences and experiments into a folder.

    A copy that was changed or run is kept, and it is said where its original is newer.
    """
    from labkit.run.copies import copy_notebooks

    states = copy_notebooks(folder, data=data)
    for name, state in states.items():
        if state == "outdated":
            echo(f"{folder / name}: kept; the original is newer: rename yours and run again")
    counts = {state: list(states.values()).count(state) for state in ("copied", "updated", "unchanged")}
    echo(f"{folder}: {', '.join(f'{count} {state}' for state, count in counts.items())}")
