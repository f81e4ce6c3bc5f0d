"""Verbs for a volunteer project of one's own: its decision tree, and the votes of its volunteers."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from typer import Argument, Option, echo

from labkit.cli.app import Group, Overwrite, Seed, TableOut, app, bar, check_ending, echo_table, refuse_files
from labkit.errors import InputError

#: As in `labkit.votes.consensus`.
Way = Literal["weighted", "majority", "log-odds", "dawid-skene"]


def _table(words: str) -> Any:
    return Option(callback=check_ending, help=words)


@app.command(rich_help_panel=Group.volunteers)
def hunt(
    sample: Annotated[Path, Argument(help="folder of a Sample")],
    out: Annotated[Path, Option(help="folder to make")],
    picture: Annotated[
        list[str] | None,
        Option(help="combined, colour or a band, or side by side as optical+X-ray; repeat for more files"),
    ] = None,
    column: Annotated[list[str] | None, Option(help="of the catalogue, for the manifest; repeat")] = None,
    size_px: Annotated[int | None, Option(min=8, help="pixels along a side  [default: 400 or more]")] = None,
    limit: Annotated[int | None, Option(min=1, help="objects at most, drawn at random")] = None,
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
    echo(f"{manifest}: {len(list(out.glob('*-1.png')))} subjects")


@app.command(rich_help_panel=Group.volunteers)
def votes(
    answers: Annotated[
        list[Path], Argument(help="classification export of Zooniverse (CSV); several are merged")
    ],
    out: TableOut,
    tree: Annotated[str, Option(help="decision tree: a name or a TOML file")] = "hunt",
    method: Annotated[Way, Option(help="how votes are combined")] = "weighted",
    anonymous: Annotated[bool, Option("--anonymous", help="keep volunteers who were not logged in")] = False,
    repeats: Annotated[
        Literal["first", "none", "all"],
        Option(help="what stays of several answers of a volunteer on a subject"),
    ] = "first",
    workflow: Annotated[str | None, Option(help="workflow id, where there are several")] = None,
    version: Annotated[list[str] | None, Option(help="workflow version to read; repeat for more")] = None,
    min_version: Annotated[str | None, Option(help="earliest workflow version to read")] = None,
    since: Annotated[str | None, Option(help="first day to read, YYYY-MM-DD (UTC)")] = None,
    until: Annotated[str | None, Option(help="last day to read, YYYY-MM-DD (UTC)")] = None,
    live: Annotated[
        bool, Option("--live", help="only classifications made after the project's launch")
    ] = False,
    gold: Annotated[
        Literal["drop", "keep", "only"], Option(help="right answers of the project's team")
    ] = "drop",
    reworded: Annotated[
        bool, Option("--reworded", help="questions reworded between versions mean the same")
    ] = False,
    object_id: Annotated[str, Option(help="key in subject_data with the object's name")] = "object_id",
    flat: Annotated[bool, Option("--flat", help="a table, one answer a row, to one question")] = False,
    user: Annotated[str, Option(help="with --flat: column of the volunteer")] = "user_name",
    subject: Annotated[str, Option(help="with --flat: column of the subject")] = "subject_ids",
    answer: Annotated[str, Option(help="with --flat: column of the answer")] = "answer",
    logged_in: Annotated[
        str, Option(help="with --flat: column that is true for a volunteer logged in; '' for none")
    ] = "logged_in",
    steps: Annotated[
        Path | None, _table("also write what cleaning and weighting change, subject by subject")
    ] = None,
    weights: Annotated[Path | None, _table("also write the weights of the volunteers")] = None,
    truth: Annotated[
        Path | None, Option(help="table with object_id and label, to measure the votes against")
    ] = None,
    scores: Annotated[Path | None, _table("with --truth: also write the measures of each method")] = None,
    calibrate: Annotated[
        bool, Option("--calibrate", help="with --truth: fit the soft labels to it, cross-validated")
    ] = False,
    threshold: Annotated[
        float, Option(min=0.01, max=0.99, help="fraction for the label that votes_needed is to exclude")
    ] = 0.5,
    retire: Annotated[
        list[str] | None,
        Option(help="show what retiring after 20 votes, or 20,3: as soon as 3 agree, gives; repeat"),
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
            since=since, until=until, live=live, gold=gold, reworded=reworded, object_id=object_id,
            logged_out=True, repeats="all",
        )  # fmt: skip
    cleaned = found.clean(logged_out=anonymous, repeats=repeats)
    report = cleaned.report
    if not (cleaned.answers.ending >= 0).any():
        who = "a volunteer" if anonymous else "a volunteer who was logged in (all: --anonymous)"
        raise InputError(
            f"{report.source} must hold a finished classification of {who}, got none "
            f"in {report.rows} rows (left out: {report.dropped}); check the file and --tree"
        )
    echo_table(report.table())
    table = room.consensus(cleaned.answers, method=method, threshold=threshold)
    if calibrate and known is not None:
        table = calibrate_votes(table, known, np.random.default_rng(seed))
    write_table(table, out)
    facts = ("alpha", "correlation", "iterations", "converged")
    echo(", ".join(f"{name} {table.meta[name]:.3g}" for name in facts if name in table.meta))
    if steps is not None:
        write_table(room.cleaning_steps(found.answers), steps)
    if weights is not None:
        write_table(room.weights(cleaned.answers).table(), weights)
    if rules:
        replayed = room.retirement_table(cleaned.answers, rules, truth=known, method=method)
        echo_table(replayed)
    if known is not None:
        ways = {way: room.consensus(cleaned.answers, method=way) for way in get_args(Way)}
        for way in tuple(ways) if calibrate else ():
            fitted = calibrate_votes(ways[way], known, np.random.default_rng(seed))
            ways[f"{way}, calibrated"] = fitted
        judged = room.vote_predictions({way: one[one["n_votes"] > 0] for way, one in ways.items()}, known)
        names = ["accuracy", "purity", "completeness", "auc", "brier", "log_loss"]
        measured = measure(judged, measures=names, split=None)
        echo_table(measured["experiment", "objects", *names])
        if scores is not None:
            write_table(measured, scores)
    people = len(set(cleaned.answers.user.tolist()))
    echo(f"{out}: {len(table)} subjects, {table['n_votes'].sum()} votes of {people} volunteers")


def _rule(words: str) -> tuple[int, int | None]:
    """Votes, and how many that agree are enough."""
    if not (found := re.fullmatch(r"([1-9]\d*)(?:,([1-9]\d*))?", words)):
        raise InputError(f"--retire must be votes, as 20, or also how many agree, as 20,3, got {words!r}")
    return int(found[1]), int(found[2]) if found[2] else None


@app.command("tree", rich_help_panel=Group.volunteers)
def make_tree(
    workflow: Annotated[Path, Argument(help="workflow export of Zooniverse (CSV), or its JSON")],
    out: Annotated[Path, Option(help="TOML file to write, to be edited")],
    workflow_id: Annotated[str | None, Option("--workflow", help="id, where there are several")] = None,
    version: Annotated[str | None, Option(help="version, such as 28.30  [default: the newest]")] = None,
    end: Annotated[list[str] | None, Option(help="task whose answers end the tree; repeat")] = None,
    positive: Annotated[str | None, Option(help="class that counts as a detection")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the decision tree of a volunteers' project.

    Its questions, each ending answer a class of its own.
    """
    from labkit.paths import write_file
    from labkit.sources import read_workflow
    from labkit.votes import tree_from_workflow, tree_toml

    if out.suffix.lower() != ".toml":
        raise InputError(f"--out must end in .toml, got {str(out)!r}")
    refuse_files(overwrite, out=out)
    content = read_workflow(workflow, workflow=workflow_id, version=version)
    tree = tree_from_workflow(content, ends=end or (), name=out.stem, positive=positive)
    write_file(out, tree_toml(tree))
    kinds = [f"{task} ({content['tasks'][task].get('type')})" for task in tree.aside]
    aside = f"; left aside, as no question on the way: {', '.join(kinds)}" if kinds else ""
    echo(f"{out}: {len(tree.questions)} questions, classes {', '.join(tree.classes)}{aside}")
