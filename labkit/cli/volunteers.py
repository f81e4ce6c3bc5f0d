"""Verbs for a volunteer project of one's own: its decision tree, and the votes of its volunteers."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.app import Group, Overwrite, Seed, TableOut, app, bar, check_ending, refuse_files
from labkit.errors import InputError


class Way(StrEnum):
    """Ways to combine votes, as in `labkit.votes.consensus`."""

    weighted = "weighted"
    majority = "majority"
    log_odds = "log-odds"
    dawid_skene = "dawid-skene"


class Repeats(StrEnum):
    """What stays of several classifications of a subject by a volunteer, as in `read_export`."""

    first = "first"
    none = "none"
    all = "all"


class Gold(StrEnum):
    """What to do with the right answers that the project's team gave, as in `read_export`."""

    drop = "drop"
    keep = "keep"
    only = "only"


def _table(words: str) -> typer.models.OptionInfo:
    return typer.Option(callback=check_ending, help=words)


@app.command(rich_help_panel=Group.volunteers)
def hunt(
    sample: Annotated[Path, typer.Argument(help="folder of a Sample")],
    out: Annotated[Path, typer.Option(help="folder to make")],
    picture: Annotated[
        list[str] | None,
        typer.Option(
            help="combined, colour or a band, or side by side as optical+X-ray; repeat for more files"
        ),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="of the catalogue, for the manifest; repeat")
    ] = None,
    size_px: Annotated[
        int | None, typer.Option(min=8, help="pixels along a side  [default: 400 or more]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="objects at most, drawn at random")] = None,
    seed: Seed = 1,
) -> None:
    """Make a subject set for Zooniverse: pictures and manifest.csv.

    Pictures are PNG files; the same command resumes a killed one. Upload the set with `panoptes subject-set
    upload-subjects`; `labkit votes` knows the objects again.
    """
    import numpy as np

    from labkit.sample import Sample
    from labkit.views.subjects import write_subject_set

    with bar("paint") as progress:
        manifest = write_subject_set(
            Sample.load(sample), out, np.random.default_rng(seed), pictures=picture or (), size_px=size_px,
            columns=column or ("ra", "dec"), limit=limit, progress=progress,
        )  # fmt: skip
    typer.echo(f"{manifest}: {len(list(out.glob('*-1.png')))} subjects")


@app.command(rich_help_panel=Group.volunteers)
def votes(
    answers: Annotated[
        list[Path], typer.Argument(help="classification export of Zooniverse (CSV); several are merged")
    ],
    out: TableOut,
    tree: Annotated[str, typer.Option(help="decision tree: a name or a TOML file")] = "hunt",
    method: Annotated[Way, typer.Option(help="how votes are combined")] = Way.weighted,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="keep volunteers who were not logged in")
    ] = False,
    repeats: Annotated[
        Repeats, typer.Option(help="what stays of several answers of a volunteer on a subject")
    ] = Repeats.first,
    workflow: Annotated[str | None, typer.Option(help="workflow id, where there are several")] = None,
    version: Annotated[
        list[str] | None, typer.Option(help="workflow version to read; repeat for more")
    ] = None,
    min_version: Annotated[str | None, typer.Option(help="earliest workflow version to read")] = None,
    since: Annotated[str | None, typer.Option(help="first day to read, YYYY-MM-DD (UTC)")] = None,
    until: Annotated[str | None, typer.Option(help="last day to read, YYYY-MM-DD (UTC)")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="only classifications made after the project's launch")
    ] = False,
    gold: Annotated[Gold, typer.Option(help="right answers of the project's team")] = Gold.drop,
    reworded: Annotated[
        bool, typer.Option("--reworded", help="questions reworded between versions mean the same")
    ] = False,
    object_id: Annotated[str, typer.Option(help="key in subject_data with the object's name")] = "object_id",
    flat: Annotated[bool, typer.Option("--flat", help="a table, one answer a row, to one question")] = False,
    user: Annotated[str, typer.Option(help="with --flat: column of the volunteer")] = "user_name",
    subject: Annotated[str, typer.Option(help="with --flat: column of the subject")] = "subject_ids",
    answer: Annotated[str, typer.Option(help="with --flat: column of the answer")] = "answer",
    logged_in: Annotated[
        str, typer.Option(help="with --flat: column that is true for a volunteer logged in; '' for none")
    ] = "logged_in",
    steps: Annotated[
        Path | None, _table("also write what cleaning and weighting change, subject by subject")
    ] = None,
    weights: Annotated[Path | None, _table("also write the weights of the volunteers")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="table with object_id and label, to measure the votes against")
    ] = None,
    scores: Annotated[Path | None, _table("with --truth: also write the measures of each method")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="with --truth: fit the soft labels to it, cross-validated")
    ] = False,
    threshold: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="fraction for the label that votes_needed is to exclude")
    ] = 0.5,
    retire: Annotated[
        list[str] | None,
        typer.Option(help="show what retiring after 20 votes, or 20,3: as soon as 3 agree, gives; repeat"),
    ] = None,
    seed: Seed = 1,
    overwrite: Overwrite = False,
) -> None:
    """Weigh volunteers' answers into a class for every subject."""
    refuse_files(overwrite, out=out, steps=steps, weights=weights, scores=scores)
    rules = [_rule(words) for words in retire or ()]
    import numpy as np

    from labkit import votes as room
    from labkit.sources import read_export, read_flat_answers
    from labkit.tables import need_columns, read_catalogue, write_table

    for name, given in (("--scores", scores is not None), ("--calibrate", calibrate)):
        if given and truth is None:
            raise InputError(f"{name} needs --truth, a table with object_id and label")
    known = None if truth is None else read_catalogue(truth, as_text=["object_id", "label"])
    if known is not None:
        from labkit.evaluate import calibrate_votes, measure

        need_columns(known, ["object_id", "label"], str(truth))
    if flat:
        found = read_flat_answers(
            answers, tree, user=user, subject=subject, answer=answer, logged_in=logged_in or None,
            logged_out=True, repeats="all",
        )  # fmt: skip
    else:
        found = read_export(
            answers, tree, workflow=workflow, versions=tuple(version or ()) or None, min_version=min_version,
            since=since, until=until, live=live, gold=gold.value, reworded=reworded, object_id=object_id,
            logged_out=True, repeats="all",
        )  # fmt: skip
    cleaned = found.clean(logged_out=anonymous, repeats=repeats.value)
    report = cleaned.report
    if not (cleaned.answers.ending >= 0).any():
        who = "a volunteer" if anonymous else "a volunteer who was logged in (all: --anonymous)"
        raise InputError(
            f"{report.source} must hold a finished classification of {who}, got none "
            f"in {report.rows} rows (left out: {report.dropped}); check the file and --tree"
        )
    typer.echo("\n".join(report.table().pformat(max_lines=-1, max_width=-1)))
    table = room.consensus(cleaned.answers, method=method.value, threshold=threshold)
    if calibrate and known is not None:
        table = calibrate_votes(table, known, np.random.default_rng(seed))
    write_table(table, out)
    facts = ("alpha", "correlation", "iterations", "converged")
    typer.echo(", ".join(f"{name} {table.meta[name]:.3g}" for name in facts if name in table.meta))
    if steps is not None:
        write_table(room.cleaning_steps(found.answers), steps)
    if weights is not None:
        write_table(room.weights(cleaned.answers).table(), weights)
    if rules:
        replayed = room.retirement_table(cleaned.answers, rules, truth=known, method=method.value)
        typer.echo("\n".join(replayed.pformat(max_lines=-1, max_width=-1)))
    if known is not None:
        ways = {way.value: room.consensus(cleaned.answers, method=way.value) for way in Way}
        for way in tuple(ways) if calibrate else ():
            fitted = calibrate_votes(ways[way], known, np.random.default_rng(seed))
            ways[f"{way}, calibrated"] = fitted
        judged = room.vote_predictions({way: one[one["n_votes"] > 0] for way, one in ways.items()}, known)
        names = ["accuracy", "purity", "completeness", "auc", "brier", "log_loss"]
        measured = measure(judged, measures=names, split=None)
        shown = measured["experiment", "objects", *names]
        typer.echo("\n".join(shown.pformat(max_lines=-1, max_width=-1)))
        if scores is not None:
            write_table(measured, scores)
    people = len(set(cleaned.answers.user.tolist()))
    typer.echo(f"{out}: {len(table)} subjects, {table['n_votes'].sum()} votes of {people} volunteers")


def _rule(words: str) -> tuple[int, int | None]:
    """Votes, and how many that agree are enough."""
    if not (found := re.fullmatch(r"([1-9]\d*)(?:,([1-9]\d*))?", words)):
        raise InputError(f"--retire must be votes, as 20, or also how many agree, as 20,3, got {words!r}")
    return int(found[1]), int(found[2]) if found[2] else None


@app.command("tree", rich_help_panel=Group.volunteers)
def make_tree(
    workflow: Annotated[Path, typer.Argument(help="workflow export of Zooniverse (CSV), or its JSON")],
    out: Annotated[Path, typer.Option(help="TOML file to write, to be edited")],
    workflow_id: Annotated[str | None, typer.Option("--workflow", help="id, where there are several")] = None,
    version: Annotated[str | None, typer.Option(help="version, such as 28.30  [default: the newest]")] = None,
    end: Annotated[list[str] | None, typer.Option(help="task whose answers end the tree; repeat")] = None,
    positive: Annotated[str | None, typer.Option(help="class that counts as a detection")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the decision tree of a volunteers' project.

    Its questions, each ending answer a class of its own.
    """
    from labkit.paths import atomic_file
    from labkit.sources import read_workflow
    from labkit.votes import tree_from_workflow, tree_toml

    if out.suffix.lower() != ".toml":
        raise InputError(f"--out must end in .toml, got {str(out)!r}")
    refuse_files(overwrite, out=out)
    content = read_workflow(workflow, workflow=workflow_id, version=version)
    tree = tree_from_workflow(content, ends=end or (), name=out.stem, positive=positive)
    with atomic_file(out) as partial:
        partial.write_text(tree_toml(tree), encoding="utf-8")
    kinds = [f"{task} ({content['tasks'][task].get('type')})" for task in tree.aside]
    aside = f"; left aside, as no question on the way: {', '.join(kinds)}" if kinds else ""
    typer.echo(f"{out}: {len(tree.questions)} questions, classes {', '.join(tree.classes)}{aside}")
