"""Decision trees out of Zooniverse's workflows, and written as the TOML files that `read_tree` reads."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from labkit.errors import InputError
from labkit.votes.trees import Choice, DecisionTree, Question, plain_text, text_key


def tree_from_workflow(
    workflow: Mapping[str, Any],
    classes: Mapping[str, Mapping[str, str]] | None = None,
    *,
    ends: Collection[str] = (),
    name: str = "workflow",
    positive: str | None = None,
) -> DecisionTree:
    """Make a decision tree out of a workflow's JSON (``first_task``, ``tasks``, ``strings``).

    A workflow says which answer leads where, not what it means. `classes` says it (for each task, class of
    each answer that ends the tree; without pictures, case ignored), whatever is asked afterwards. Ending
    answers are named ``task: answer``; tasks behind them are left aside. Before its end no way may lead
    through a task that is no question with a single answer: the choices of a ``multiple`` do not exclude one
    another, and a ``dropdown``, ``survey``, ``drawing`` or ``text`` is no choice among a few, so there is no
    majority. Without `classes`, a way ends with the answer after which no such question follows, or at a
    task of `ends`, and each ending answer is a class, named like it: a tree to edit.
    """
    tasks, first = _read_tasks(workflow)
    if first not in tasks:
        raise InputError(f"first_task of the workflow must be one of its tasks {list(tasks)}, got {first!r}")
    if unknown := sorted({*ends} - set(tasks)):
        raise InputError(f"ends must be tasks of the workflow {list(tasks)}, got {unknown}")
    if classes is None:
        classes = _own_classes(tasks, first, ends)
    given = {task: {text_key(text): c for text, c in answers.items()} for task, answers in classes.items()}
    for task, answers in given.items():
        known = {text_key(text) for text, _ in tasks[task].answers} if task in tasks else set()
        if unknown := sorted(set(answers) - known):
            raise InputError(
                f"classes must name answers of the workflow; {task!r} offers {sorted(known)}, got {unknown}"
            )
    questions: dict[str, Question] = {}
    waiting = [first]
    while waiting:
        task = waiting.pop(0)
        if task in questions:
            continue
        text, offered, kind = tasks.get(task, _Task("", [], "unknown"))
        if kind != "single":
            raise InputError(
                f"classes must end every way before {task!r}, no question with a single answer but a task of "
                f"the type {kind!r}"
            )
        choices = []
        for label, after in offered:
            verdict, label = given.get(task, {}).get(text_key(label)), plain_text(label)
            if verdict is None and after is None:
                raise InputError(f"classes must name the class of {label!r} in {task!r}, where the tree ends")
            if verdict is None:
                choices.append(Choice(label, next=after))
            else:
                choices.append(Choice(label, leaf=f"{task}: {label}", verdict=verdict))
        questions[task] = Question(task, plain_text(text), tuple(choices))
        waiting += [choice.next for choice in choices if choice.next]
    named = dict.fromkeys(c for answers in classes.values() for c in answers.values())
    aside = tuple(task for task in tasks if task not in questions)
    return DecisionTree(name, name, tuple(named), tuple(questions.values()), positive, aside)


class _Task(NamedTuple):
    text: str
    answers: list[tuple[str, str | None]]  # with the task that follows
    kind: str


def _own_classes(tasks: Mapping[str, _Task], first: str, ends: Collection[str]) -> dict[str, dict[str, str]]:
    """A class for each answer after which no further question with a single answer is asked."""
    found, waiting = {}, [first]
    while waiting:
        if (task := waiting.pop(0)) in found or tasks[task].kind != "single":
            continue
        on = {t: a for t, a in tasks[task].answers if a and a in tasks and tasks[a].kind == "single"}
        found[task] = [t for t, _ in tasks[task].answers if task in ends or t not in on]
        waiting += [] if task in ends else list(on.values())
    often = Counter(text_key(text) for texts in found.values() for text in texts)
    return {
        task: {t: plain_text(t) if often[text_key(t)] == 1 else f"{task}: {plain_text(t)}" for t in texts}
        for task, texts in found.items()
    }


def _read_tasks(workflow: Mapping[str, Any]) -> tuple[dict[str, _Task], str]:
    """The tasks of a workflow, and the first."""
    if missing := {"first_task", "tasks", "strings"} - set(workflow):
        raise InputError(
            f"workflow must have the keys first_task, tasks and strings, lacks {sorted(missing)}"
        )
    strings, tasks = workflow["strings"], {}
    try:
        for task, entry in workflow["tasks"].items():
            answers = [(strings.get(a["label"], a["label"]), a.get("next")) for a in entry.get("answers", [])]
            if not all(isinstance(text, str) for text, _ in answers):
                raise TypeError(f"an answer of {task!r} that is not text")
            tasks[task] = _Task(strings.get(entry.get("question"), ""), answers, str(entry.get("type")))
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"workflow must have the form that Zooniverse exports, got {error}") from error
    return tasks, str(workflow["first_task"])


def tree_toml(tree: DecisionTree) -> str:
    """A tree as TOML text in the form of ``data/trees/hunt.toml``."""

    def quoted(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    about = {"name": tree.name, "title": tree.title, "classes": tree.classes}
    about |= {"positive": tree.positive} if tree.positive else {}
    about |= {"aside": tree.aside} if tree.aside else {}
    lines = [f"{key} = {quoted(value)}" for key, value in about.items()]
    for question in tree.questions:
        lines += ["", "[[questions]]", f"task = {quoted(question.task)}", f"text = {quoted(question.text)}"]
        lines.append("answers = [")
        for choice in question.choices:
            keys: dict[str, Any] = {"text": choice.text, "next": choice.next, "leaf": choice.leaf}
            keys |= {"class": choice.verdict, "experts": choice.experts or None, "also": choice.also or None}
            pairs = [f"{key} = {quoted(value)}" for key, value in keys.items() if value is not None]
            lines.append(f"    {{ {', '.join(pairs)} }},")
        lines.append("]")
    return "\n".join(lines) + "\n"
