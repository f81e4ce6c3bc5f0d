"""The parameters of a notebook: read from its tagged cell, checked, and written back with new values.

A notebook declares what can be changed in one cell tagged `parameters`, a line each::

    epochs: int = 30  # passes through the training set
    bands: list[str] = ["xray", "optical"]  # channel order

The cell is read, never run: names, types and values are known before anything starts, and neither types nor
values are evaluated. papermill's own reader is not used because it cuts a value at the first "#".
"""

import ast
import copy
import difflib
import io
import math
import os
import tokenize
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, Union

import nbformat
from pydantic import ConfigDict, TypeAdapter, ValidationError

from labkit.errors import InputError, MissingDataError

_TAG = "parameters"
_RULE = "every line of the parameters cell must be `name: type = literal  # meaning, unit`"
_TYPES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, list, tuple, dict)},
    **{"Optional": Optional, "Union": Union, "Literal": Literal},
}
_FILES = (".csv", ".ecsv", ".fit", ".fits", ".gz", ".json", ".parquet", ".reg", ".toml", ".tsv", ".txt")


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: name, type as written, value, comment, and where the value stands."""

    name: str
    annotation: str
    default: Any
    meaning: str
    span: tuple[int, int] = (0, 0)  # bytes of the cell's source

    def convert(self, value: Any) -> Any:
        """The value with the annotated type.

        Text may spell it, as on a command line (``"3"``, ``"a,b"``), and a number may stand for text.
        """
        numbers_too = ConfigDict(coerce_numbers_to_str=self.annotation == "str")  # threads = 2, beside "auto"
        try:
            kind = _type_of(ast.parse(self.annotation, mode="eval").body)
            adapter: TypeAdapter[Any] = TypeAdapter(kind, config=numbers_too)
        except InputError as error:
            raise InputError(f"parameter {self.name!r} {error} ({self.meaning})") from error
        reason = ""
        for candidate in _readings(value):
            try:
                return adapter.validate_python(candidate)
            except ValidationError as error:
                reason = reason or error.errors()[0]["msg"]
        raise InputError(
            f"parameter {self.name!r} must be {self.annotation}, got {value!r}: {reason} ({self.meaning})"
        )

    def from_folder(self, value: Any, folder: Path) -> Any:
        """The value with relative paths taken from a folder: texts that end as a file, or stand for a path.

        Text stands for a path where the notebook's own value is one, or is empty and the text has a slash.
        """
        if isinstance(value, list | tuple):
            return type(value)(self.from_folder(item, folder) for item in value)
        if not isinstance(value, str) or not value:
            return value
        usual = self.default if isinstance(self.default, list | tuple) else [self.default]
        usual = [item for item in usual if item not in ("", None)]
        texts = [item.lower() for item in (*usual, value) if isinstance(item, str)]
        slashed = any("/" in item for item in (texts[:-1] if usual else texts))
        return str(folder / value) if slashed or any(item.endswith(_FILES) for item in texts) else value


def _readings(value: Any) -> Iterable[Any]:
    """What a value can mean: text may spell None, be itself, a literal, or a comma-separated list."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if hasattr(value, "tolist"):  # of numpy
        value = value.tolist()
    if not isinstance(value, str):
        return [value]
    text = value.strip()
    readings: list[Any] = [None] if text == "None" else []
    readings.append(value)
    with suppress(ValueError, SyntaxError):
        readings.append(_literal(ast.parse(text, mode="eval").body))
    parts = [part.strip() for part in text.split(",")]
    return [*readings, parts if parts[-1] else parts[:-1]]


class _Infinities(ast.NodeTransformer):
    """Take ``float("inf")``, ``float("-inf")`` and ``float("nan")`` for the literals that Python lacks."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        text = ast.unparse(node)
        known = {f"float('{word}')": float(word) for word in ("inf", "-inf", "nan")}
        return ast.copy_location(ast.Constant(known[text]), node) if text in known else node


def _literal(node: ast.expr) -> Any:
    return ast.literal_eval(_Infinities().visit(copy.deepcopy(node)))


def spell(value: Any) -> str:
    """A value as a literal that `read_parameters` reads back, infinities and NaN included."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spell(key)}: {spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spell, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{spell(item)}, " for item in value).rstrip() + ")"
    return repr(value)


def _type_of(node: ast.expr) -> Any:
    """The type that an annotation spells, from a closed list of names; nothing is evaluated."""
    try:
        if isinstance(node, ast.Name):
            return _TYPES[node.id]
        if isinstance(node, ast.Constant) and node.value in (None, ...):
            return node.value
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return Union[_type_of(node.left), _type_of(node.right)]  # noqa: UP007
        if isinstance(node, ast.Subscript):
            base = _type_of(node.value)
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            read = ast.literal_eval if base is Literal else _type_of
            parts = tuple(map(read, inner))
            return base[parts if len(parts) != 1 else parts[0]]
    except (KeyError, ValueError):
        pass
    except TypeError as error:
        raise InputError(f"must have a valid type, got {ast.unparse(node)!r}: {error}") from error
    raise InputError(f"must have a type made of {sorted(_TYPES)}, got {ast.unparse(node)!r}")


def read_notebook(path: str | Path) -> nbformat.NotebookNode:
    """Read a notebook file (format 4)."""
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.ipynb")], 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise MissingDataError(f"notebook must be a file, got {str(path)!r}{hint}")
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # whatever nbformat makes of a broken file
        raise InputError(
            f"notebook must be a Jupyter notebook of format 4, got {str(path)!r}: {error}"
        ) from error


def _tagged_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    cells = [cell for cell in notebook.cells if _TAG in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise InputError(f"notebook must have one cell tagged {_TAG!r}, got {len(cells)}; join them")
    return cells[0] if cells else None


def _read_line(node: ast.stmt, source: str, comments: Mapping[int, str]) -> Parameter:
    line = ast.get_source_segment(source, node) or ""
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
        raise InputError(f"{_RULE}, got {line!r}")
    meaning = comments.get(node.end_lineno or 0) or comments.get(node.lineno, "")
    if not meaning:
        raise InputError(f"{_RULE}, got {line!r} without a comment; say what it means, and its unit")
    value = node.value
    try:
        default = _literal(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"{_RULE}, got the value {ast.unparse(value)!r} in {line!r}") from error
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text.encode()))
    span = (starts[value.lineno - 1] + value.col_offset, starts[value.end_lineno - 1] + value.end_col_offset)  # type: ignore[operator]
    parameter = Parameter(node.target.id, ast.unparse(node.annotation), default, meaning, span)
    parameter.convert(default)
    return parameter


def read_parameters(notebook: str | Path | nbformat.NotebookNode) -> tuple[Parameter, ...]:
    """The parameters that a notebook declares, in order; none without a cell tagged `parameters`."""
    node = read_notebook(notebook) if isinstance(notebook, str | Path) else notebook
    cell = _tagged_cell(node)
    if cell is None:
        return ()
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise InputError(f"{_RULE}, got line {error.lineno}: {error.text!r}") from error
    tokens = tokenize.generate_tokens(io.StringIO(cell.source).readline)
    comments = {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}
    parameters = tuple(_read_line(line, cell.source, comments) for line in tree.body)
    names = [parameter.name for parameter in parameters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"names of parameters must differ, got {twice} twice; remove one")
    return parameters


def check_parameters(
    notebook: str | Path | nbformat.NotebookNode, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values given for a notebook, converted to the declared types before anything runs."""
    known = {parameter.name: parameter for parameter in read_parameters(notebook)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {sorted(known) or 'none'}"
            raise InputError(f"parameter must be one that the notebook declares, got {name!r}; {hint}")
    return {name: known[name].convert(value) for name, value in given.items()}


def with_parameters(notebook: nbformat.NotebookNode, given: Mapping[str, Any]) -> nbformat.NotebookNode:
    """A copy of a notebook with new values written into its parameters cell, types and comments kept."""
    values = check_parameters(notebook, given)
    changed = copy.deepcopy(notebook)
    cell = _tagged_cell(changed)
    for parameter in reversed(read_parameters(notebook)):
        if cell is not None and parameter.name in values:
            source, (first, last) = cell.source.encode(), parameter.span
            cell.source = (source[:first] + spell(values[parameter.name]).encode() + source[last:]).decode()
    return changed


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Split `name=value` texts of a command line; the notebook's types convert the values later."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise InputError(f"an assignment must be name=value, got {text!r}")
        if name.strip() in values:
            raise InputError(f"a parameter must be given once, got {name.strip()!r} twice")
        values[name.strip()] = value
    return values
