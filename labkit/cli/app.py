"""The command itself, how what goes wrong in a verb ends, and the options that verbs share."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer import Argument, BadParameter, Option, echo
from typer.core import TyperGroup

from labkit import __version__
from labkit.cli.words import spoken
from labkit.errors import FailedError, InputError, MissingDataError
from labkit.run.stopping import TERMINATED, interrupt_on_sigterm

EXIT_DATA, EXIT_MISSING, EXIT_FAILED, EXIT_IO, EXIT_INTERRUPTED = 65, 66, 70, 74, 130
#: As in `labkit.tables`, which the command line imports only when it is needed.
CATALOGUE_ENDINGS = (".ecsv", ".csv", ".fits", ".vot", ".parquet")

ENDINGS = ", ".join(CATALOGUE_ENDINGS)
_MADE_HERE = ("sample.json", "truth.ecsv", "candidates.ecsv")  # a folder with one of these may be replaced
#: Of click, or of the copy inside newer versions of typer.
_UsageError: type[Exception] = BadParameter.__bases__[0]
_debug = False


def check_ending(path: Path | None) -> Path | None:
    """Refuse a table's name whose ending cannot be written."""
    if path is not None and path.suffix.lower() not in CATALOGUE_ENDINGS:
        raise BadParameter(f"must end in one of {ENDINGS}, got {str(path)!r}")
    return path


Out = Annotated[Path, Argument(help="folder to make")]
TableOut = Annotated[Path, Option(callback=check_ending, help=f"table to write: {ENDINGS}")]
Run = Annotated[Path, Option(help="run folder")]
Overwrite = Annotated[bool, Option("--overwrite", help="replace what labkit made there before")]
Seed = Annotated[int, Option(min=0, help="seed of everything random, a whole number")]
SizePx = Annotated[int, Option(min=8, help="pixels along the 7 arcmin side of a cut-out")]
Exposure = Option(help="exposure map, s (FITS): one an image, or one for all")
Images = Annotated[list[Path], Argument(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")]
Processes = Annotated[int, Option(min=1, help="processes; the result does not depend on them")]
Seeds = Annotated[list[int] | None, Option("--seed", min=0, help="seed of a run; repeat for more runs")]
Epochs = Annotated[int | None, Option(min=1, help="passes through the training set, instead of those set")]
Device = Annotated[str, Option(help="auto, cpu, cuda or cuda:<n>")]
Logger = Annotated[str | None, Option(help="write each epoch's numbers, too: csv, tensorboard or mlflow")]
#: What may differ from a model's training, as in `labkit.learn.predict`.
Consent = StrEnum("Consent", ["normalisation", "telescope", "shift"])
Accept = Annotated[
    list[Consent] | None,
    Option(
        help="score what differs from the images a model was trained on: grey levels made in another way, "
        "another telescope, or images that a test tells from them (shift); repeat for more"
    ),
]


class Group(StrEnum):
    """Groups of verbs, in the order of work; each verb names its own as `rich_help_panel`."""

    data = "Data in"
    prepare = "Prepare"
    train = "Train"
    judge = "Judge"
    candidates = "Candidates of an observation"
    members = "Cluster members"
    volunteers = "Volunteers"
    notebooks = "Notebooks and reports"


class _Verbs(TyperGroup):
    """The verbs; whatever goes wrong in them ends with one line and an exit code."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs by their groups."""
        limit = formatter.width - 6 - max(map(len, self.commands))
        for group in Group:
            verbs = [
                (name, one)
                for name, one in self.commands.items()
                if getattr(one, "rich_help_panel", None) == group
            ]
            with formatter.section(group.value):
                formatter.write_dl([(name, one.get_short_help_str(limit)) for name, one in verbs])

    def invoke(self, ctx: Any) -> Any:
        verb: Any = self
        for word in (*ctx._protected_args, *ctx.args):
            verb = getattr(verb, "commands", {}).get(word, verb)
        with interrupt_on_sigterm() as terminated:
            try:
                result = super().invoke(ctx)
            except (_UsageError, typer.Exit, typer.Abort):
                raise
            except KeyboardInterrupt:
                if not terminated():
                    _fail("interrupted; the same command resumes", EXIT_INTERRUPTED)
            except Exception as error:
                if _debug or os.environ.get("LABKIT_DEBUG"):
                    traceback.print_exc()
                _fail(_words(error, verb), _exit_code(error))
            if terminated():
                _fail("terminated; the same command resumes", TERMINATED)
            return result


def _words(error: Exception, verb: Any) -> str:
    """An error in one line; one that labkit did not foresee with its kind, and how to see more."""
    if isinstance(error, InputError):
        return spoken(str(error), verb)
    if isinstance(error, FailedError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}; the option --debug (before the verb) shows where"


def _exit_code(error: Exception) -> int:
    full = getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, OSError):
        return EXIT_IO
    if isinstance(error, MissingDataError):
        return EXIT_MISSING
    return EXIT_DATA if isinstance(error, InputError) else EXIT_FAILED


def _fail(words: str, code: int) -> NoReturn:
    echo(f"labkit: {' '.join(words.split())}", err=True)
    raise SystemExit(code)


app = typer.Typer(
    cls=_Verbs,
    help="Classify galaxy clusters: images of candidates in, a ranked and explained catalogue out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        echo(f"labkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, Option("--quiet", help="log errors only")] = False,
    debug: Annotated[bool, Option("--debug", help="show the traceback of an error")] = False,
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    global _debug
    _debug = debug
    # Read when torch is loaded, here, in kernels and in workers. Threads that spin while they wait slow a
    # machine down that has other work, thirtyfold at the worst.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    level = logging.ERROR if quiet else logging.WARNING if sys.stderr.isatty() else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("papermill").setLevel(logging.WARNING)


def at_terminal() -> bool:
    """Whether standard error is a terminal, so that bars are worth showing."""
    return sys.stderr.isatty()


def refuse_files(overwrite: bool, **options: Path | None) -> None:
    """Refuse output files that are in the way or cannot be written before any work is done for them."""
    for name, path in options.items():
        if path is None:
            continue
        if path.exists() and not overwrite:
            raise InputError(
                f"--{name} must not exist yet, got {str(path)!r}; choose another or give --overwrite"
            )
        if path.is_dir():
            raise InputError(f"--{name} must be a file, got the folder {str(path)!r}; choose another name")
        _need_writable(path)


def _need_writable(out: Path) -> None:
    """The nearest folder above that is there must be one, and let something be made in it."""
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "may not be written to" if above.is_dir() else "is a file"
        raise OSError(f"{str(out)!r} cannot be made: {str(above)!r} {why}; choose another place")


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Refuse an output folder that is in the way before any work is done for it."""
    if not out.exists():
        _need_writable(out)
        return
    if not overwrite:
        raise InputError(f"OUT must not exist yet, got {str(out)!r}; choose another or give --overwrite")
    if not out.is_dir() or not (any((out / name).exists() for name in _MADE_HERE) or not any(out.iterdir())):
        raise InputError(
            f"--overwrite replaces what labkit made there before, got {str(out)!r}, which is something else; "
            "choose another folder or remove it yourself"
        )


def split_words(text: str | None) -> tuple[str, ...] | None:
    """The words between commas; None where nothing is given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def refuse_same(out: Path, source: Path, what: str = "folder") -> None:
    """Refuse an output that is the input."""
    if out.resolve() == source.resolve():
        raise InputError(f"out must be another {what} than the input, got {str(out)!r} twice; choose another")


def one_or_pairs(given: list[str], option: str) -> str | dict[str, str]:
    """What is given once for all bands, or as band=value for each."""
    return given[0] if len(given) == 1 and "=" not in given[0] else pairs(given, option)


def pairs(given: list[str], option: str) -> dict[str, str]:
    """What is given for each band, as band=value."""
    pairs = [one.partition("=") for one in given]
    bad = [one for one, (band, _, value) in zip(given, pairs, strict=True) if not (band and value)]
    if bad or len({band for band, *_ in pairs}) < len(pairs):
        raise InputError(f"{option} must be given once, or as band=value once for each band, got {given}")
    return {band: value for band, _, value in pairs}


def echo_table(table: Any) -> None:
    """Print a table whole, whatever its size."""
    echo("\n".join(table.pformat(max_lines=-1, max_width=-1)))


@contextmanager
def bar(title: str, *, unit: str = "object") -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows how much is done, at a terminal; elsewhere none."""
    if not at_terminal():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, unit_scale=unit == "byte") as shown:

        def show(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield show
