"""Decision trees from files: TOML tables of our own, and workflows as Zooniverse exports them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.errors import InputError, MissingDataError
from labkit.paths import data_folder
from labkit.votes.tree import Choice, DecisionTree, Question, plain_text

__all__ = ["read_tree", "tree_from_workflow", "tree_names"]

_TREE_KEYS = {"name", "title", "classes", "positive", "aside", "questions"}
_QUESTION_KEYS = {"task", "text", "answers"}
_ANSWER_KEYS = {"text", "next", "leaf", "class", "experts", "also"}


def tree_names() -> tuple[str, ...]:
    """Names of the trees that ship with labkit, sorted."""
    return tuple(sorted(path.stem for path in data_folder("trees").glob("*.toml")))


def read_tree(tree: str | Path) -> DecisionTree:
    """Read a decision tree from its file.

    Parameters
    ----------
    tree : str or path
        Name of a tree that ships with labkit, such as ``"hunt"``, or a TOML file in the form of
        ``data/trees/hunt.toml``.

    Returns
    -------
    DecisionTree
        The tree, checked.

    Raises
    ------
    MissingDataError
        If there is no such tree.
    InputError
        If the file is not TOML, a key is missing or unknown, or the tree breaks a rule of `DecisionTree`.
    """
    path = Path(tree)
    if path.suffix != ".toml":
        path = data_folder("trees") / f"{tree}.toml"
    if not path.is_file():
        raise MissingDataError(f"tree must be a TOML file or one of {tree_names()}, got {str(tree)!r}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} must be TOML text ({error})") from error
    return _tree(table, path.name)


def _checked(table: Any, known: set[str], needed: set[str], where: str) -> dict[str, Any]:
    if not isinstance(table, dict) or (set(table) - known) or (needed - set(table)):
        got = sorted(table) if isinstance(table, dict) else table
        raise InputError(f"{where} must have the keys {sorted(needed)} out of {sorted(known)}, got {got}")
    return table


def _tree(table: dict[str, Any], where: str) -> DecisionTree:
    table = _checked(table, _TREE_KEYS, {"name", "title", "classes", "questions"}, where)
    questions = []
    for number, entry in enumerate(table["questions"], start=1):
        place = f"question {number} of {where}"
        entry = _checked(entry, _QUESTION_KEYS, _QUESTION_KEYS, place)
        choices = tuple(_choice(answer, f"each answer of {place}") for answer in entry["answers"])
        questions.append(Question(str(entry["task"]), str(entry["text"]), choices))
    return DecisionTree(
        str(table["name"]),
        str(table["title"]),
        tuple(table["classes"]),
        tuple(questions),
        table.get("positive"),
        tuple(table.get("aside", ())),
    )


def _choice(answer: Any, where: str) -> Choice:
    answer = _checked(answer, _ANSWER_KEYS, {"text"}, where)
    return Choice(
        answer["text"],
        answer.get("next"),
        answer.get("leaf"),
        answer.get("class"),
        tuple(answer.get("experts", ())),
        tuple(answer.get("also", ())),
    )


def tree_from_workflow(
    workflow: Mapping[str, Any],
    classes: Mapping[str, Mapping[str, str]],
    *,
    name: str = "workflow",
    positive: str | None = None,
) -> DecisionTree:
    """Make a decision tree out of a workflow as Zooniverse exports it.

    A workflow says which answer leads where, not what it means. `classes` says it, and an answer named there
    ends the tree, whatever the volunteer is asked afterwards: one workflow can serve several trees. Tasks
    behind the ends are left aside, and so are tasks with several answers (type ``multiple``), whose
    choices do not exclude one another and so have no majority: no way may lead through one before its end.

    Parameters
    ----------
    workflow : mapping
        The workflow's JSON with ``first_task``, ``tasks`` and ``strings``.
    classes : mapping of str to mapping of str to str
        For each task, class of each answer that ends the tree; answers without pictures, case ignored.
    name : str
        Name of the tree.
    positive : str, optional
        The class that counts as a detection.

    Returns
    -------
    DecisionTree
        Its questions are those met before an end; an ending answer is named ``task: answer``.

    Raises
    ------
    InputError
        If the workflow lacks a part, `classes` names an unknown task or answer, or a way does not come to an
        end that `classes` names.
    """
    tasks = _tasks(workflow)
    ends = {task: {_key(text): c for text, c in answers.items()} for task, answers in classes.items()}
    for task, answers in ends.items():
        known = {_key(text) for text, _ in tasks.get(task, ("", [], False))[1]}
        if unknown := sorted(set(answers) - known):
            raise InputError(
                f"classes must name answers of the workflow; {task!r} offers {sorted(known)}, got {unknown}"
            )
    questions: dict[str, Question] = {}
    waiting = [str(workflow["first_task"])]
    while waiting:
        task = waiting.pop(0)
        if task in questions:
            continue
        text, offered, several = tasks.get(task, ("", [], True))
        if several:
            raise InputError(f"classes must end every way before {task!r}, no question with a single answer")
        choices = tuple(_ending_or_next(task, label, after, ends.get(task, {})) for label, after in offered)
        questions[task] = Question(task, text, choices)
        waiting += [choice.next for choice in choices if choice.next]
    named = dict.fromkeys(c for answers in classes.values() for c in answers.values())
    aside = tuple(task for task in tasks if task not in questions)
    return DecisionTree(name, name, tuple(named), tuple(questions.values()), positive, aside)


def _tasks(workflow: Mapping[str, Any]) -> dict[str, tuple[str, list[tuple[str, str | None]], bool]]:
    """Text, answers with the task after each, and whether several may be given, of each task."""
    if missing := {"first_task", "tasks", "strings"} - set(workflow):
        raise InputError(
            f"workflow must have the keys first_task, tasks and strings, lacks {sorted(missing)}"
        )
    strings = workflow["strings"]
    return {
        task: (
            strings.get(entry.get("question"), ""),
            [(strings.get(a["label"], a["label"]), a.get("next")) for a in entry.get("answers", [])],
            entry.get("type") != "single",
        )
        for task, entry in workflow["tasks"].items()
    }


def _key(text: str) -> str:
    return plain_text(text).casefold()


def _ending_or_next(task: str, label: str, after: str | None, ends: Mapping[str, str]) -> Choice:
    text = plain_text(label)
    if verdict := ends.get(text.casefold()):
        return Choice(text, leaf=f"{task}: {text}", verdict=verdict)
    if after is None:
        raise InputError(f"classes must name the class of {text!r} in {task!r}, where the tree ends")
    return Choice(text, next=after)
