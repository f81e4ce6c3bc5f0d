"""The parameters of a notebook: read from its tagged cell, checked, and written back with new values.

A notebook declares what can be changed in one cell tagged `parameters`, a line each::

    epochs: int = 30  # passes through the training set
    bands: list[str] = ["xray", "optical"]  # channel order

The cell is read, never run: names, types and values are known before anything starts.
"""

from __future__ import annotations

import ast
import copy
import difflib
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from astropy.table import Table

from labkit.errors import InputError, MissingDataError
from labkit.run.values import convert

__all__ = [
    "Parameter",
    "check_parameters",
    "describe",
    "read_notebook",
    "read_parameters",
    "with_parameters",
]

TAG = "parameters"
_RULE = "every line of the parameters cell must be `name: type = literal  # meaning, unit`"


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Parameters
    ----------
    name, annotation, meaning : str
        The variable, its type as written, and the comment behind it (what it is, and its unit).
    default : object
        The literal that the notebook gives it.
    span : tuple of int
        First and last character of the value in the cell's source.
    """

    name: str
    annotation: str
    default: Any
    meaning: str
    span: tuple[int, int] = (0, 0)

    def convert(self, value: Any) -> Any:
        """The value with the annotated type; text is converted as `labkit.run.values.convert` says.

        Raises
        ------
        InputError
            If it is not, and does not spell, a value of that type.
        """
        try:
            return convert(value, self.annotation)
        except InputError as error:
            raise InputError(f"parameter {self.name!r} {error} ({self.meaning})") from error


def read_notebook(path: str | Path) -> nbformat.NotebookNode:
    """Read a notebook file (format 4).

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If the file is not a notebook.
    """
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(
            path.name, [p.name for p in path.parent.glob("*.ipynb")], n=1, cutoff=0.5
        )
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise MissingDataError(f"notebook must be a file, got {str(path)!r}{hint}")
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, AttributeError, KeyError) as error:
        raise InputError(
            f"notebook must be a Jupyter notebook of format 4, got {str(path)!r}: {error}"
        ) from error


def _tagged_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    cells = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise InputError(f"notebook must have one cell tagged {TAG!r}, got {len(cells)}; join them")
    return cells[0] if cells else None


def _comments(source: str) -> dict[int, str]:
    """Text of the comment on each line (1-based)."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _read_line(node: ast.stmt, source: str, comments: Mapping[int, str]) -> Parameter:
    line = ast.get_source_segment(source, node) or ""
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
        raise InputError(f"{_RULE}, got {line!r}")
    meaning = comments.get(node.end_lineno or 0) or comments.get(node.lineno, "")
    if not meaning:
        raise InputError(f"{_RULE}, got {line!r} without a comment; say what it means, and its unit")
    try:
        default = ast.literal_eval(node.value)
    except ValueError as error:
        raise InputError(f"{_RULE}, got the value {ast.unparse(node.value)!r} in {line!r}") from error
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text.encode()))
    value = node.value
    span = (starts[value.lineno - 1] + value.col_offset, starts[value.end_lineno - 1] + value.end_col_offset)  # type: ignore[operator]
    parameter = Parameter(node.target.id, ast.unparse(node.annotation), default, meaning, span)
    parameter.convert(default)
    return parameter


def read_parameters(notebook: str | Path | nbformat.NotebookNode) -> tuple[Parameter, ...]:
    """The parameters that a notebook declares, in order.

    Parameters
    ----------
    notebook : path or NotebookNode
        The notebook. Without a cell tagged `parameters` it has none.

    Returns
    -------
    tuple of Parameter
        One for each line of the tagged cell.

    Raises
    ------
    InputError
        If a line is not `name: type = literal  # meaning, unit`, a name comes twice, or a default is not
        of its own type.
    """
    node = read_notebook(notebook) if isinstance(notebook, str | Path) else notebook
    cell = _tagged_cell(node)
    if cell is None:
        return ()
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise InputError(f"{_RULE}, got line {error.lineno}: {error.text!r}") from error
    comments = _comments(cell.source)
    parameters = tuple(_read_line(line, cell.source, comments) for line in tree.body)
    names = [parameter.name for parameter in parameters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"names of parameters must differ, got {twice} twice; remove one")
    return parameters


def check_parameters(
    notebook: str | Path | nbformat.NotebookNode, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Check and convert the values given for a notebook, before anything runs.

    Parameters
    ----------
    notebook : path or NotebookNode
        The notebook.
    given : mapping of str to object
        New values; text is converted to the declared type.

    Returns
    -------
    dict
        The converted values of the given names.

    Raises
    ------
    InputError
        If the notebook has no parameter of a given name, or a value has the wrong type.
    """
    known = {parameter.name: parameter for parameter in read_parameters(notebook)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {sorted(known) or 'none'}"
            raise InputError(f"parameter must be one that the notebook declares, got {name!r}; {hint}")
    return {name: known[name].convert(value) for name, value in given.items()}


def with_parameters(notebook: nbformat.NotebookNode, given: Mapping[str, Any]) -> nbformat.NotebookNode:
    """A copy of a notebook with new values written into its parameters cell, types and comments kept.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook; unchanged.
    given : mapping of str to object
        New values.

    Returns
    -------
    NotebookNode
        The copy.

    Raises
    ------
    InputError
        As `check_parameters`.
    """
    values = check_parameters(notebook, given)
    changed = copy.deepcopy(notebook)
    cell = _tagged_cell(changed)
    for parameter in reversed(read_parameters(notebook)):
        if cell is not None and parameter.name in values:
            source, (first, last) = cell.source.encode(), parameter.span
            cell.source = (source[:first] + repr(values[parameter.name]).encode() + source[last:]).decode()
    return changed


def describe(notebook: str | Path | nbformat.NotebookNode) -> Table:
    """The parameters of a notebook as a table with the columns name, type, default and meaning."""
    rows = [(p.name, p.annotation, repr(p.default), p.meaning) for p in read_parameters(notebook)]
    return Table(rows=rows or None, names=("name", "type", "default", "meaning"), dtype=(str,) * 4)
