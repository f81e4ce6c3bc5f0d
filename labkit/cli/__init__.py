"""The command line: the verbs of the notebooks for batches.

Results go to standard output; log lines, or bars at a terminal, to standard error; an error is one line
there, whatever it was (with ``--debug`` or ``LABKIT_DEBUG=1`` the traceback, too). Exit codes, for batch
systems, are those of sysexits.h: 0 done; 2 wrong usage; 65 input breaks a rule; 66 input is missing;
70 training, a notebook or labkit itself failed; 74 reading or writing failed; 130 interrupted and
143 terminated (the same command resumes).
"""

from collections.abc import Sequence

from labkit.cli import catalogues, injections, runs, samples, volunteers
from labkit.cli.app import app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on what is typed after `labkit`; ends with `SystemExit`, as its exit code says."""
    app(args=arguments, prog_name="labkit")
