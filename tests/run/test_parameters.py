"""Parameters are read without running, typed, and refused when misspelt."""

import math
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError, MissingDataError
from labkit.run.parameters import (
    Parameter,
    check_parameters,
    parse_assignments,
    read_notebook,
    read_parameters,
    with_parameters,
)
from labkit.run.records import fingerprint

CELL = """\
# The survey.
n_objects: int = 400  # candidates, count
exposure: float = 10.0  # effective exposure, ks
bands: tuple[str, ...] = (
    "xray",
    "optical",
)  # channel order (é, for bytes)
weights: str | None = None  # file of pretrained weights; None for none
augment: bool = True  # random rotations
seeds: list[int] = [0, 1]  # one training each
limits: list[float] = [float("-inf"), 0]  # limits
options: dict[str, float] = {}  # options
threads: str = "auto"  # auto, or a number
"""


def test_names_types_defaults_and_meanings_are_read(make_notebook):
    parameters = {p.name: p for p in read_parameters(make_notebook("a", CELL))}
    assert " ".join(parameters) == "n_objects exposure bands weights augment seeds limits options threads"
    assert parameters["limits"].default == [-math.inf, 0]
    assert parameters["bands"].default == ("xray", "optical")
    assert parameters["exposure"].meaning == "effective exposure, ks"
    assert parameters["weights"].annotation == "str | None"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n_objects", "12", 12),
        ("exposure", "1e1", 10.0),
        ("exposure", 3, 3.0),
        ("bands", "xray,optical", ("xray", "optical")),
        ("bands", ["xray"], ("xray",)),
        ("bands", "('xray',)", ("xray",)),
        ("weights", "None", None),
        ("weights", "a.safetensors", "a.safetensors"),
        ("augment", "false", False),
        ("seeds", "3,4", [3, 4]),
        ("seeds", "5", [5]),
        ("seeds", "5,", [5]),
        ("seeds", "[]", []),
        ("seeds", "", []),
        ("seeds", np.arange(2), [0, 1]),
        ("exposure", "inf", math.inf),
        ("exposure", "-inf", -math.inf),
        ("exposure", np.float32(1.5), 1.5),
        ("weights", Path("a b {c}"), "a b {c}"),
        ("limits", "inf,1", [math.inf, 1.0]),
        ("limits", "[-1e3, 2]", [-1000.0, 2.0]),
        ("options", '{"a": 2}', {"a": 2.0}),
        ("threads", 2, "2"),
        ("threads", "2", "2"),
        ("threads", "3,4", "3,4"),
        ("threads", "None", "None"),
    ],
)
def test_values_and_their_text_take_the_declared_type(make_notebook, name, value, expected):
    converted = check_parameters(make_notebook("a", CELL), {name: value})[name]
    assert converted == expected
    assert type(converted) is type(expected)


def test_new_values_are_written_in_place_and_comments_stay(make_notebook):
    node = read_notebook(make_notebook("a", CELL))
    changed = with_parameters(node, {"bands": "xray", "seeds": [7]})
    before, after = read_parameters(node), read_parameters(changed)
    values = {p.name: p.default for p in before} | {"bands": ("xray",), "seeds": [7]}
    assert {p.name: p.default for p in after} == values
    assert [p.meaning for p in after] == [p.meaning for p in before]
    assert node.cells[1].source == CELL


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_objects": "many"}, "parameter 'n_objects' must be int, got 'many'"),
        ({"n_objects": 1.5}, "'n_objects' must be int, got 1.5"),
        ({"augment": "perhaps"}, "'augment' must be bool, got 'perhaps'"),
        ({"seeds": "a,b"}, r"'seeds' must be list\[int\], got 'a,b'"),
        ({"weights": 3}, r"'weights' must be str \| None, got 3"),
        ({"threads": True}, "'threads' must be str, got True"),
        ({"n_object": 3}, "got 'n_object'; did you mean 'n_objects'"),
        ({"zzz": 3}, "got 'zzz'; it has"),
    ],
)
def test_values_of_another_type_and_misspelt_names_are_refused(make_notebook, given, message):
    with pytest.raises(InputError, match=message):
        check_parameters(make_notebook("a", CELL), given)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n = 3  # count", "every line of the parameters cell must be"),
        ("n: int  # count", "every line of the parameters cell must be"),
        ("n: int = 3", "without a comment"),
        ("n: int = 2 * k  # count", "got the value '2 \\* k'"),
        ("n: int = 'three'  # count", "parameter 'n' must be int"),
        ("n: Quantity = 3  # kpc", "must have a type made of"),
        ("n: int.real = 3  # count", "must have a type made of"),
        ("n: int[str] = 3  # count", "must have a valid type"),
        ("n: int.__class__.mro() = 3  # count", "must have a type made of"),
        ("n: (print('run') or int) = 3  # count", "must have a type made of"),
        ("n: float = float('1')  # count", "got the value"),
        ("n: int = 3  # count\nn: int = 4  # count", "names of parameters must differ"),
        ("n: int = = 3  # count", "got line 1"),
    ],
)
def test_a_line_that_breaks_the_rule_is_refused(make_notebook, line, message):
    with pytest.raises(InputError, match=message):
        read_parameters(make_notebook("a", line))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False),
    "str": st.text(),
    "bool": st.booleans(),
    "list[int]": st.lists(st.integers()),
    "tuple[float, ...]": st.lists(st.floats(allow_nan=False)).map(tuple),
    "int | None": st.none() | st.integers(),
}


@given(st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_any_value_survives_writing_and_reading(pair):
    kind, value = pair
    default = {"str": "''", "bool": "True", "list[int]": "[]", "tuple[float, ...]": "()"}.get(kind, "0")
    cell = nbformat.v4.new_code_cell(
        f"ä: {kind} = {default}  # µ\nz: int = 1  # last", metadata={"tags": ["parameters"]}
    )
    changed = with_parameters(nbformat.v4.new_notebook(cells=[cell]), {"ä": value})
    first, last = read_parameters(changed)
    assert first.default == (None if value == "None" and kind != "str" else value)
    assert last.default == 1


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "float('nan')"])
def test_values_without_a_literal_run_in_the_notebook(make_notebook, text):
    changed = with_parameters(read_notebook(make_notebook("a", CELL)), {"exposure": text})
    names: dict[str, Any] = {}
    exec(changed.cells[1].source, names)
    expected = float(text.removeprefix("float('").removesuffix("')"))
    np.testing.assert_equal(names["exposure"], expected)
    assert fingerprint(changed, parameters=names)["parameters"]["exposure"] == f'float("{expected}")'


@pytest.mark.parametrize(
    ("default", "value", "expected"),
    [
        ("../data/runs/x", "demo", "/shell/demo"),
        ("../data/runs/x", "/demo", "/demo"),
        ("../data/runs/x", "", ""),
        ("CN-E", "CN-E/no dropout", "CN-E/no dropout"),
        ("hunt", "hunt", "hunt"),
        ("hunt", "tree.toml", "/shell/tree.toml"),
        ("", "hunt", "hunt"),
        ("", "a/b", "/shell/a/b"),
        ([], ["a.fits", "b c.FITS"], ["/shell/a.fits", "/shell/b c.FITS"]),
        (3, 4, 4),
    ],
)
def test_paths_are_taken_from_a_folder_and_names_are_left_alone(default, value, expected):
    assert Parameter("x", "str", default, "what").from_folder(value, Path("/shell")) == expected


NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_reads_the_same_parameters(path):
    """`papermill --help-notebook` shows every parameter with its type: no `|`, one line each."""
    shown = papermill.inspect_notebook(path, None)
    ours = {parameter.name: parameter.annotation for parameter in read_parameters(path)}
    assert {name: one["inferred_type_name"] for name, one in shown.items()} == ours


def test_notebooks_that_cannot_be_read_are_named(make_notebook, tmp_path):
    node = read_notebook(make_notebook("03_training", CELL))
    with pytest.raises(MissingDataError, match="did you mean '03_training.ipynb'"):
        read_notebook(tmp_path / "notebooks" / "03_trainning.ipynb")
    node.cells.append(node.cells[1])
    with pytest.raises(InputError, match="one cell tagged 'parameters', got 2"):
        read_parameters(node)
    (tmp_path / "a.ipynb").write_text("not json")
    with pytest.raises(InputError, match="Jupyter notebook of format 4"):
        read_notebook(tmp_path / "a.ipynb")


def test_assignments_are_split_at_the_first_equals_sign():
    assert parse_assignments(["a=1", "03_x.b=c=d"]) == {"a": "1", "03_x.b": "c=d"}
    for texts, message in ((["a"], "name=value, got 'a'"), (["=1"], "name=value"), (["a=1", "a=2"], "once")):
        with pytest.raises(InputError, match=message):
            parse_assignments(texts)
