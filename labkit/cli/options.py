"""What the verbs share: options, checks before work starts, a bar for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from labkit.errors import InputError

__all__ = [
    "CATALOGUE_ENDINGS",
    "Device",
    "Out",
    "Overwrite",
    "Run",
    "Seed",
    "SizePx",
    "bar",
    "free",
    "watched",
]

#: As in `labkit.tables`, which the command line imports only when it is needed.
CATALOGUE_ENDINGS = (".ecsv", ".csv", ".fits", ".parquet")

_MADE_HERE = ("sample.json", "truth.ecsv")  # a folder with one of these may be replaced

Out = Annotated[Path, typer.Argument(help="folder to make")]
Run = Annotated[Path, typer.Option(help="run folder")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what labkit made there before")]
Seed = Annotated[int, typer.Option(min=0, help="seed of everything random, a whole number")]
SizePx = Annotated[int, typer.Option(min=8, help="pixels along the 7 arcmin side of a cut-out")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<n>")]


def watched() -> bool:
    """Whether a person watches."""
    return sys.stderr.isatty()


def free(out: Path, overwrite: bool) -> None:
    """Refuse an output folder that is in the way before any work is done for it."""
    if not out.exists():
        return
    if not overwrite:
        raise InputError(f"OUT must not exist yet, got {str(out)!r}; choose another or give --overwrite")
    if not out.is_dir() or not (any((out / name).exists() for name in _MADE_HERE) or not any(out.iterdir())):
        raise InputError(
            f"--overwrite replaces a Sample or a simulated observation, got {str(out)!r}, which is neither; "
            "choose another folder or remove it yourself"
        )


@contextmanager
def bar(title: str, *, unit: str = "object") -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows how much is done, for someone who watches; for a batch none."""
    if not watched():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, unit_scale=unit == "byte") as shown:

        def show(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield show
