"""The house rules: one-way imports, two sides that never meet, equal dependencies, tidy notebooks."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labkit.run.copies import copy_notebooks
from labkit.run.parameters import read_parameters
from labkit.run.sequence import prepare, read_sequence

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "labkit"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: The arrow: a room imports only from rooms in earlier rows; inside a row only from itself.
ARROW = (
    ("errors", ""),
    ("taxonomy", "paths", "cosmology", "processes"),
    ("cooling",),
    ("tables",),
    ("sample", "predictions", "runfolder"),
    ("experiment", "calibration"),
    ("images", "votes", "instruments"),
    ("photometry",),
    ("simulate", "sources", "learn", "evaluate"),
    ("finder", "explain"),
    ("views",),
    ("run",),
    ("cli",),
    ("__main__",),
)
#: The same inside `simulate`, from the sky to the volunteers.
SIMULATE = (
    ("numbers",),
    ("painting", "xray", "gas", "projection"),
    ("optical", "cores", "hst"),
    ("xmm", "plates"),
    ("candidates", "scan", "injection"),
    ("field",),
    ("observation", "found"),
    ("survey", "volunteers"),
    ("hunt",),
)
#: The physics of the two sides, candidates seen by XMM-Newton and members seen by Hubble, which never meet.
CANDIDATES = (
    "instruments", "votes", "finder", "images.xamin", "simulate.xray", "simulate.optical", "simulate.xmm",
    "simulate.plates", "simulate.observation", "simulate.candidates", "simulate.field", "simulate.found",
    "simulate.injection", "simulate.survey", "simulate.volunteers", "simulate.hunt",
)  # fmt: skip
MEMBERS = ("photometry", "simulate.hst")
BARE_NODE = {"torch", "pytorch_lightning", "timm", "numpy", "safetensors", "pydantic", "astropy"}


def modules() -> dict[str, Path]:
    """Every module by its dotted name below labkit; a folder's name is that of its __init__."""
    found = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(p for p in parts if p != "__init__"): path for parts, path in found.items()}


MODULES = modules()


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ranks(order: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {name: row for row, names in enumerate(order) for name in names}


def test_imports_follow_the_arrow():
    rank, wrong = ranks(ARROW), []
    for module, path in MODULES.items():
        here = module.split(".")[0]
        assert here in rank, f"{module} must stand in the arrow"
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("labkit.")}
        wrong += [
            f"{module} from {room}" for room in rooms - {here, "__version__"} if rank[room] >= rank[here]
        ]
    assert not wrong, "these imports go against the arrow"


def origin(name: str) -> str:
    """The module below labkit that a dotted name comes from, also where an __init__ passes it on."""
    parts = name.split(".")[1:]
    home = next(".".join(parts[:n]) for n in range(len(parts), -1, -1) if ".".join(parts[:n]) in MODULES)
    wanted = parts[len(home.split(".")) if home else 0 :]
    if wanted and MODULES[home].name == "__init__.py":
        for node in ast.parse(MODULES[home].read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("labkit"):
                for alias in node.names:
                    if wanted[0] == (alias.asname or alias.name):
                        return origin(f"{node.module}.{alias.name}")
    return home


def origins(path: Path) -> set[str]:
    """The modules below labkit that a file imports from."""
    return {origin(name) for name in imported(path) if name.split(".")[0] == "labkit"}


def side(module: str) -> str:
    for name, parts in (("candidates", CANDIDATES), ("members", MEMBERS)):
        if any(f"{module}.".startswith(f"{part}.") for part in parts):
            return name
    return "common"


def test_the_two_kinds_of_physics_never_meet():
    wrong = [
        f"{module} ({side(module)}) imports from {other} ({side(other)})"
        for module, path in MODULES.items()
        for other in sorted(origins(path))
        if {side(module), side(other)} == {"candidates", "members"}
    ]
    assert not wrong


def test_simulation_goes_from_the_sky_to_the_volunteers():
    rank, wrong = ranks(SIMULATE), []
    for module, path in MODULES.items():
        if module.startswith("simulate."):
            here = module.split(".")[1]
            assert here in rank, f"{module} must stand in the order of simulate"
            parts = {other.split(".")[1] for other in origins(path) if other.startswith("simulate.")}
            wrong += [f"{module} from {part}" for part in parts - {here} if rank[part] >= rank[here]]
    assert not wrong, "these imports go against the order of simulate"


def test_learning_needs_only_what_a_bare_node_has():
    for path in (PACKAGE / "learn").glob("*.py"):
        outside = {name.split(".")[0] for name in imported(path)} - {"labkit"} - set(sys.stdlib_module_names)
        assert outside <= BARE_NODE, f"{path.name} imports {sorted(outside - BARE_NODE)}"


def test_simulating_candidates_loads_nothing_of_the_members():
    heavy = ("labkit.simulate.hst", "kcorrect", "torch", "sklearn", "bokeh")
    code = f"import sys, labkit.simulate.survey; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def requirement(text: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"\s*([\w.-]+)\s*(?:>=\s*([\w.]+))?.*", text).groups()
    return name.lower().replace("-", "_"), bound or ""


def test_environment_yml_lists_the_same_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = dict(requirement(text) for text in project["dependencies"])
    ours["pytorch"] = ours.pop("torch")
    text = (ROOT / "environment.yml").read_text().split("dependencies:")[1].split("- pip:")[0]
    conda = dict(requirement(line.strip(" -")) for line in text.splitlines() if line.strip(" -"))
    assert conda.pop("python") == project["requires-python"].split(",")[0].removeprefix(">=")
    conda.pop("pip")
    assert conda == ours


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_keep_the_rules(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    lengths = []
    for cell in code:
        source = "".join(cell["source"])
        assert not cell["outputs"], "outputs are not committed"
        assert cell["execution_count"] is None
        assert not re.search(r"^\s*(def|class|!|%%)\b", source, re.MULTILINE), source
        lengths.append(sum(bool(line.strip()) for line in source.splitlines()))
    assert max(lengths) <= 15
    assert sorted(lengths)[len(lengths) // 2] <= 3
    assert "assert" in "".join(code[-1]["source"]), "the last cell asserts the section's results"
    words = sum(len("".join(c["source"]).split()) for c in cells if c["cell_type"] == "markdown")
    assert words >= 25 * len(code)
    assert "**Input**" in "".join(cells[0]["source"])


def code_cells(path: Path) -> list[ast.Module]:
    cells = json.loads(path.read_text())["cells"]
    return [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


def iterated(tree: ast.Module) -> list[ast.expr]:
    return [node.iter for node in ast.walk(tree) if isinstance(node, ast.For | ast.comprehension)]


def stands_for_an_if(node: ast.expr) -> bool:
    """Whether a loop goes over what has one item or none: ``[x] * there``, ``[x] if there else []``."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        starred = any(isinstance(item, ast.Starred) for item in node.elts)
        return len(node.elts) < 2 and not starred
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mult) or stands_for_an_if(node.left) or stands_for_an_if(node.right)
    if isinstance(node, ast.IfExp):
        return stands_for_an_if(node.body) or stands_for_an_if(node.orelse)
    return isinstance(node, ast.BoolOp) and any(map(stands_for_an_if, node.values))


def given_names(tree: ast.Module) -> set[str]:
    """Names that a cell imports or assigns; those of loops are forgotten with the loop."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            inside = (part for target in node.targets for part in ast.walk(target))
            names |= {
                one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
            }
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_one_form(path):
    cells = code_cells(path)
    assert len(cells) <= 30
    imported = [sum(isinstance(line, ast.Import | ast.ImportFrom) for line in cell.body) for cell in cells]
    assert sum(imported) == max(imported) <= 8, "imports stand in one cell of eight lines at most"
    loops = [ast.unparse(one) for cell in cells for one in iterated(cell) if stands_for_an_if(one)]
    assert not loops, "a loop over one thing or none is an `if`"
    names = [name for cell in cells for name in given_names(cell)]
    assert not {name for name in names if names.count(name) > 1}, "a name means one thing in a notebook"


@pytest.mark.parametrize(
    ("loop", "is_an_if"),
    [
        ("for path in [x] * Path(x).is_file(): pass", True),
        ("for x in ([y] if y else []): pass", True),
        ('for name in {"wrong"} & set(names): pass', True),
        ("a = [f(x) for x in (y,)]", True),
        ("for x in y or []: pass", True),
        ('for name in ("a", "b"): pass', False),
        ("for x in [*first, *second]: pass", False),
        ("for x in f([y]): pass", False),
    ],
)
def test_a_loop_over_one_thing_or_none_is_seen(loop, is_an_if):
    assert [stands_for_an_if(one) for one in iterated(ast.parse(loop))] == [is_an_if]


@pytest.mark.parametrize("copied", [False, True], ids=["originals", "copies"])
def test_notebooks_open_what_the_demonstration_left(copied, tmp_path):
    """After `make demo` the sections find its survey, Samples and networks, and train none again."""
    root = tmp_path if copied else ROOT
    folder = root / "data" / "lab" if copied else root / "notebooks"
    if copied:
        copy_notebooks(folder, data=root / "data")

    def place(value):
        path = isinstance(value, str) and value.startswith("../")
        return str((folder / value).resolve()) if path else value

    for step in prepare(read_sequence(folder / "demo.toml"), run=root / "data" / "runs" / "demo"):
        declared = {one.name: place(one.default) for one in read_parameters(step.notebook)}
        assert step.parameters == declared, step.name
