"""Decision trees: the Hunt's, those of other projects, and what makes no tree."""

import json

import pytest

from labkit.errors import InputError, MissingDataError
from labkit.taxonomy import BINARY, EXPERT_CLASSES
from labkit.votes import DecisionTree, plain_text, read_tree, tree_from_workflow, tree_names, tree_toml


def test_the_hunt_is_what_the_paper_says(hunt):
    assert len(hunt.questions) == 6
    assert {len(question.choices) for question in hunt.questions} == {2, 3}
    leaves = {name: hunt.choices[number] for name, number in hunt.endings.items()}
    clusters, aside = {"nearby cluster", "distant cluster"}, {"not a nearby cluster", "not a distant cluster"}
    others = {"no emission", "edge", "point", "nearby galaxy", "no optical image"} | aside
    for verdict, names in (("cluster", clusters), ("non-cluster", others)):
        assert {name for name, choice in leaves.items() if choice.verdict == verdict} == names
    assert {name for name, choice in leaves.items() if not choice.experts} == aside, "section 5.1"


def test_experts_of_a_leaf_belong_to_its_class(hunt):
    for number in hunt.endings.values():
        choice = hunt.choices[number]
        for label in choice.experts:
            assert label in EXPERT_CLASSES
            assert BINARY.mapping.get(label, "non-cluster") == choice.verdict


def test_answers_are_numbered_through_the_tree(hunt):
    assert len(hunt.choices) == len(hunt.question_of) == len(hunt.verdict_of) == 14
    for number, choice in enumerate(hunt.choices):
        task = hunt.tasks[hunt.question_of[number]]
        assert hunt.numbers[task][choice.text.casefold()] == number
        assert (hunt.verdict_of[number] >= 0) == (choice.leaf is not None)


def test_walk_follows_the_way_and_stops_where_it_breaks(hunt):
    given = {"T0": 0, "T1": 3, "T2": 5, "T3": 8, "T4": 10, "T5": 12}
    assert hunt.walk(given) == ([0, 3, 5, 8, 10], 10)  # T5 is off the way
    assert hunt.walk({"T0": 0, "T2": 5}) == ([0], -1)
    assert hunt.walk({"T1": 3}) == ([], -1)
    assert hunt.walk({"T0": 1}) == ([1], 1)


def test_every_tree_that_ships_is_read():
    assert {"hunt", "presence_absence"} <= set(tree_names())
    for name in tree_names():
        assert read_tree(name).name == name
    with pytest.raises(MissingDataError, match="TOML file or one of .*'hunt'.* got 'fox'"):
        read_tree("fox")


def test_pictures_and_blanks_are_no_text():
    assert plain_text("![a b.png](https://x.org/(a).png) Features  or\nDisk") != "Features or Disk"
    assert plain_text("![a b.png](https://x.org/a.png) Features  or\nDisk ") == "Features or Disk"
    assert plain_text("Yes!") == "Yes!"


TREE = """
name = "small"
title = "Small"
classes = ["a", "b"]
[[questions]]
task = "T0"
text = "?"
answers = [{text = "left", next = "T1"}, {text = "right", leaf = "right", class = "b"}]
[[questions]]
task = "T1"
text = "?"
answers = [
    {text = "up", leaf = "up", class = "a", also = ["UP!"]},
    {text = "down", leaf = "down", class = "b"},
]
"""


def from_text(folder, text: str) -> DecisionTree:
    (folder / "small.toml").write_text(text)
    return read_tree(folder / "small.toml")


def test_a_tree_of_ones_own(tmp_path):
    tree = from_text(tmp_path, TREE)
    assert tree.numbers["T1"] == {"up": 2, "up!": 2, "down": 3}
    assert tree.endings == {"right": 1, "up": 2, "down": 3}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Small"', "", "small.toml must have the form of .*, got title: Field required"),
        ('title = "Small"', 'title = "Small"\ncolour = 1', "got colour: Unexpected keyword argument"),
        ('class = "a"', 'class = "a", colour = 1', "answers.0.colour: Unexpected keyword argument"),
        ('classes = ["a", "b"]', 'classes = ["a"]', "at least one question and two classes"),
        ('classes = ["a", "b"]', 'classes = ["a", "b", "a"]', "classes .* must differ, got .'a'."),
        (
            'classes = ["a", "b"]',
            'classes = ["a", "b"]\npositive = "c"',
            "positive must be one of .* got 'c'",
        ),
        ('task = "T1"', 'task = "T0"', "tasks .* must differ, got .'T0'."),
        ('leaf = "up"', 'leaf = "right"', "leaves .* must differ, got .'right'."),
        ('class = "a"', 'class = "z"', "'class' in question 'T1' .* got 'z'"),
        ('next = "T1"', 'next = "T9"', "'next' in question 'T0' .* got 'T9'"),
        ('next = "T1"', 'next = "T1", leaf = "x"', "either 'next' or both 'leaf' and 'class'"),
        (', class = "a"', "", "either 'next' or both 'leaf' and 'class'"),
        ('text = "down"', 'text = "UP"', "must differ beyond case and pictures, got .'up'."),
        ('leaf = "down", class = "b"', 'next = "T0"', "must not lead back to 'T0'"),
        ('next = "T1"', 'leaf = "x", class = "a"', "must be reached, got .'T1'."),
        (', {text = "right", leaf = "right", class = "b"}', "", "at least two answers, got 1"),
        ("name", "name name", "small.toml must be TOML text"),
        ('title = "Small"', "title = 5", "got title: Input should be a valid string"),
        ('classes = ["a", "b"]', 'classes = "ab"', "got classes: Input should be a valid tuple"),
        ('text = "up"', "text = 1", "got questions.1.answers.0.text: Input should be a valid string"),
        ('{text = "up"', '{txt = "up"', r"got questions.1.answers.0.text: Field required"),
    ],
)
def test_what_makes_no_tree(tmp_path, old, new, message):
    assert old in TREE
    with pytest.raises(InputError, match=message) as refused:
        from_text(tmp_path, TREE.replace(old, new, 1))
    assert "Value error" not in str(refused.value), "the tree's own words"


WORKFLOW = {
    "first_task": "T0",
    "strings": {
        "q0": "Shape?",
        "a": "![x.png](y) Round",
        "b": "Odd",
        "q1": "Odd how?",
        "c": "Ring",
        "d": "Arc",
    },
    "tasks": {
        "T0": {
            "type": "single",
            "question": "q0",
            "answers": [{"label": "a", "next": "T2"}, {"label": "b", "next": "T1"}],
        },
        "T1": {"type": "single", "question": "q1", "answers": [{"label": "c"}, {"label": "d"}]},
        "T2": {"type": "multiple", "question": "q1", "answers": [{"label": "c"}, {"label": "d"}]},
    },
}


def test_an_answer_with_a_class_ends_the_tree():
    tree = tree_from_workflow(WORKFLOW, {"T0": {"round": "round", "Odd": "odd"}})
    assert tree.tasks == ("T0",)
    assert tree.aside == ("T1", "T2")
    assert tree.endings == {"T0: Round": 0, "T0: Odd": 1}
    deeper = tree_from_workflow(WORKFLOW, {"T0": {"round": "no"}, "T1": {"ring": "no", "arc": "lens"}})
    assert deeper.tasks == ("T0", "T1")
    assert deeper.aside == ("T2",)
    assert deeper.questions[1].text == "Odd how?"


def other(tasks: object) -> dict:
    return WORKFLOW | {"tasks": tasks}


@pytest.mark.parametrize(
    ("workflow", "classes", "message"),
    [
        (WORKFLOW, {"T0": {"square": "x"}}, "'T0' offers .'odd', 'round'., got .'square'."),
        (WORKFLOW, {"T7": {"square": "x"}}, "'T7' offers .., got .'square'."),
        (WORKFLOW, {"T0": {"odd": "x"}}, "end every way before 'T2', no question .* type 'multiple'"),
        (WORKFLOW, {"T0": {"round": "x"}, "T1": {"ring": "y"}}, "class of 'Arc' in 'T1', where the tree"),
        (
            WORKFLOW | {"first_task": "T9"},
            {},
            "first_task of the workflow must be one of its tasks .* got 'T9'",
        ),
        ({"first_task": "T0"}, {}, r"lacks \['strings', 'tasks'\]"),
        (other([]), {}, "workflow must have the form that Zooniverse exports"),
        (other({"T0": []}), {}, "workflow must have the form"),
        (other({"T0": {"answers": [3]}}), {}, "workflow must have the form"),
        (other({"T0": {"answers": [{}]}}), {}, "workflow must have the form"),
    ],
)
def test_workflows_that_make_no_tree(workflow, classes, message):
    with pytest.raises(InputError, match=message):
        tree_from_workflow(workflow, classes)


def test_a_real_workflow(real, tmp_path):
    workflow = json.loads((real / "zooniverse" / "decision_tree_workflow.json").read_text())
    ends = {"smooth": "smooth", "features or disk": "featured", "star or artefact": "artefact"}
    tree = tree_from_workflow(workflow, {"T0": ends}, name="decals")
    assert tree.classes == ("smooth", "featured", "artefact")
    assert len(tree.aside) == 11
    merging = dict.fromkeys(("merging", "tidal debris", "both"), "merging") | {"neither": "calm"}
    tree = tree_from_workflow(workflow, {"T0": {"star or artefact": "artefact"}, "T11": merging})
    assert set(tree.aside) == {"T9", "T10"}  # T10 takes several answers, T9 is no longer asked
    assert len(tree.endings) == 5
    whole = tree_from_workflow(workflow)
    assert whole.classes == ("Star or Artefact", "Merging", "Tidal Debris", "Both", "Neither")
    assert set(whole.aside) == {"T9", "T10"}
    (tmp_path / "t.toml").write_text(tree_toml(whole), encoding="utf-8")
    assert read_tree(tmp_path / "t.toml") == whole


def test_a_workflow_without_classes_is_a_tree_to_edit(tmp_path):
    tree = tree_from_workflow(WORKFLOW)
    assert tree.classes == ("Round", "Ring", "Arc")  # T2, with several answers, is no question
    assert tree_from_workflow(WORKFLOW, ends=["T0"]).classes == ("Round", "Odd")
    alike = WORKFLOW | {"strings": WORKFLOW["strings"] | {"a": 'a "b" \\', "c": 'A "B" \\'}}
    tree = tree_from_workflow(alike)
    assert tree.classes == ('T0: a "b" \\', 'T1: A "B" \\', "Arc"), "the same words mean two things"
    (tmp_path / "t.toml").write_text(tree_toml(tree))
    assert read_tree(tmp_path / "t.toml") == tree
    hunt = read_tree("hunt")
    (tmp_path / "t.toml").write_text(tree_toml(hunt))
    assert read_tree(tmp_path / "t.toml") == hunt
    with pytest.raises(InputError, match=r"ends must be tasks of the workflow .'T0'.* got .'T8'."):
        tree_from_workflow(WORKFLOW, ends=["T8"])
    drawn = other({"T0": {"type": "drawing", "question": "q0"}})
    with pytest.raises(InputError, match="end every way before 'T0', .* task of the type 'drawing'"):
        tree_from_workflow(drawn)
