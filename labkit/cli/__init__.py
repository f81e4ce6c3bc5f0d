"""The command line: the verbs of the notebooks for batches.

Results go to standard output; log lines, or bars where someone watches, to standard error; an error is
one line there. Exit codes, for batch systems, are those of sysexits.h: 0 done; 2 wrong usage; 65 input
breaks a rule; 66 input is missing; 70 training or a notebook failed; 74 reading or writing failed;
130 interrupted (the same command goes on where it was).
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.cli import data, members, models, notebooks, pixels, volunteers
from labkit.cli.verbs import app

__all__ = ["app", "data", "main", "members", "models", "notebooks", "pixels", "volunteers"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends with `SystemExit`, as its exit code says.

    Parameters
    ----------
    arguments : sequence of str, optional
        What is typed after `labkit`; by default what was typed.
    """
    app(args=arguments, prog_name="labkit")
