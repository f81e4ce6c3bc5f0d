"""The command itself: its options, and how what goes wrong in a verb ends."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from labkit import __version__
from labkit.errors import FailedError, InputError, MissingDataError

__all__ = ["app", "simulate_app"]

EXIT_DATA, EXIT_MISSING, EXIT_FAILED, EXIT_IO, EXIT_INTERRUPTED = 65, 66, 70, 74, 130


class _Verbs(TyperGroup):
    """The verbs; what goes wrong in them ends with one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _fail("interrupted; the same command goes on where it was", EXIT_INTERRUPTED)
        except (InputError, FailedError, OSError) as error:
            _fail(error, _exit_code(error))


def _exit_code(error: Exception) -> int:
    full = getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, OSError):
        return EXIT_IO
    if isinstance(error, FailedError):
        return EXIT_FAILED
    return EXIT_MISSING if isinstance(error, MissingDataError) else EXIT_DATA


def _fail(error: object, code: int) -> NoReturn:
    typer.echo(f"labkit: {' '.join(str(error).split())}", err=True)
    raise SystemExit(code)


app = typer.Typer(
    cls=_Verbs,
    help="Classify galaxy clusters: images of candidates in, a ranked and explained catalogue out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

simulate_app = typer.Typer(
    help="Simulate a survey of candidates, an XMM-Newton observation, or HST fields of clusters.",
    no_args_is_help=True,
)
app.add_typer(simulate_app, name="simulate")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"labkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, typer.Option("--quiet", help="log errors only")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    level = logging.ERROR if quiet else logging.WARNING if sys.stderr.isatty() else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("papermill").setLevel(logging.WARNING)
