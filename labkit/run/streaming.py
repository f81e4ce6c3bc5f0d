"""Predictions of a Sample of any length, part after part on any number of workers.

Each part is a file that appears whole or not at all, named by its place and by a digest of all that decides
it. So a call that was killed is resumed by the same call, other settings never mix with it, and the table is
the same, bit for bit, whoever did which part: every part is computed on one thread. In memory are the parts
at work and a few columns of the catalogue.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from distributed import Client, Future, wait
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from labkit import __version__
from labkit.errors import InputError
from labkit.learn import Model, find_models, model_calibration, predict
from labkit.learn.device import choose_device
from labkit.learn.predict import PIECE
from labkit.learn.start import weights_digest
from labkit.paths import write_file
from labkit.predictions import PARTS, target_column
from labkit.processes import available_cores
from labkit.run.stopping import interrupt_on_sigterm
from labkit.run.workers import connected, number_of
from labkit.sample import Sample

#: Objects of a part, a multiple of those that are read at a time.
PART = 16 * PIECE
_WAITING = 2  # parts that are handed to each worker
#: A part's number and file.
_Part = tuple[int, Path]


def predict_in_parts(
    models: str | Path,
    sample: str | Path,
    out: str | Path,
    *,
    experiment: str | None = None,
    workers: int | str = "auto",
    device: str = "auto",
    views: int = 1,
    seed: int = 0,
    accept: Collection[str] = (),
    calibrated: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Predict a Sample of any length into a folder of Parquet files; resumed by the same call.

    Parameters
    ----------
    models, experiment, device, views, seed, accept, calibrated
        As for `labkit.predict`; `models` is a folder or a name that workers can open, too.
    sample : path
        Folder of the Sample, raw or normalised.
    out : path
        Folder of the parts; `labkit.predictions.load_predictions` reads it whole, its files are tables of
        4,096 objects each by all models. ``parts.json`` is written last.
    workers : int or str
        0: this process. n: as many processes on this machine. "auto": one a core, or this process on a GPU
        or where there is little to do. Address of a Dask scheduler: its workers, which must see the folders
        under the same names; a part whose worker is lost goes to another one. A script that asks for
        processes must do so under ``if __name__ == "__main__":``.
    overwrite : bool
        Replace predictions of other settings at `out`, once the new ones are complete.
    progress : bool
        Show a progress bar, in objects.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If models and Sample do not fit, an option breaks its rule, or `out` holds something else.
    MissingDataError
        If there are no models, or a scheduler does not answer.
    """
    workers, out = number_of(workers), Path(out)
    if isinstance(workers, int) and workers < 0:
        raise InputError(f"workers must be 0, a number of processes or a scheduler's address, got {workers}")
    whole = Sample.load(Path(sample).resolve())
    models = str(Path(models).resolve()) if Path(models).exists() else str(models)
    options: dict[str, Any] = {"experiment": experiment, "device": device, "views": views}
    options["calibrated"] = calibrated
    options["accept"] = sorted({accept} if isinstance(accept, str) else accept)
    predict(models, whole.select(slice(0, 1)), seed=seed, **options)  # refuses what does not fit
    found = find_models(models, experiment=experiment)
    calibration = repr(model_calibration(models)) if calibrated else ""
    digest = _digest(found, whole, options | {"seed": seed}, calibration)
    _check_folder(out, digest, overwrite)
    whole.catalogue = whole.catalogue[_needed(whole, found)]
    files = [out / f"part-{number:06d}.{digest}.parquet" for number in range(-(-max(len(whole), 1) // PART))]
    parts = [part for part in enumerate(files) if not part[1].exists()]
    if workers == "auto":
        workers = min(available_cores(), len(parts)) if choose_device(device).type == "cpu" else 0
        workers = workers if workers > 1 else 0
    work: Callable[..., int] = partial(_predict_part, models=models, seed=seed, **options)
    out.mkdir(parents=True, exist_ok=True)
    with interrupt_on_sigterm(), ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=len(whole), unit=" objects", disable=not progress))
        bar.update(len(whole) - sum(len(_rows(number, whole)) for number, _ in parts))
        if workers and parts:
            done = _on_workers(stack.enter_context(connected(workers)), work, parts, whole)
        else:
            done = (work(part, whole.select(_rows(part[0], whole))) for part in parts)
        for objects in done:
            bar.update(objects)
    about = {"parts": [file.name for file in files], "objects": len(whole), "labkit": __version__}
    write_file(out / PARTS, json.dumps(about, indent=1))
    for file in set(out.glob("part-*.parquet")) - set(files):
        file.unlink()
    return out


def _rows(number: int, whole: Sample) -> Any:
    """Rows of a part."""
    return range(len(whole))[number * PART : (number + 1) * PART]


def _predict_part(part: _Part, piece: Sample, *, models: str, seed: int, **options: Any) -> int:
    """Predict and write a part on one thread; how many objects it has."""
    number, file = part
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            predict(models, piece, seed=seed + number * (PART // PIECE), **options).save(file)
    finally:
        torch.set_num_threads(threads)
    return len(piece)


def _on_workers(
    client: Client, work: Callable[..., int], parts: Sequence[_Part], whole: Sample
) -> Iterator[int]:
    """Hand the workers a few parts each at a time; a part whose worker is lost goes to another one."""
    left = list(parts)[::-1]
    at_work: set[Future] = set()
    try:
        while left or at_work:
            room = _WAITING * max(len(client.scheduler_info()["workers"]), 1)
            while left and len(at_work) < room:
                part = left.pop()
                piece = whole.select(_rows(part[0], whole))  # travels without its pixels
                at_work.add(client.submit(work, part, piece, pure=False, priority=-part[0]))
            done, at_work = wait(at_work, return_when="FIRST_COMPLETED")
            for future in done:
                yield future.result()
    finally:
        client.cancel(list(at_work))


def _needed(whole: Sample, models: Sequence[Model]) -> list[str]:
    """The catalogue columns that predicting reads."""
    known = [model.experiment for model in models]
    targets = [target_column(target)[0] for one in known for target in one.targets]
    wanted = ["object_id", "ra", "dec", "label", *(one.split_column for one in known), *targets]
    return [name for name in dict.fromkeys(wanted) if name in whole.catalogue.colnames]


def _digest(models: Sequence[Model], whole: Sample, options: dict[str, Any], calibration: str) -> str:
    """Of all that decides what the parts hold."""
    known = [[one.run.name, weights_digest(one), str(one.normalisation)] for one in models]
    decides = [__version__, PART, whole.content_hash, options, known, calibration]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]


def _check_folder(out: Path, digest: str, overwrite: bool) -> None:
    """Refuse a folder of other things, and one of other predictions unless these are to be replaced."""
    if not out.exists():
        return
    own = {PARTS, *(file.name for file in out.glob("*part-*.parquet*"))} if out.is_dir() else set()
    if not out.is_dir() or {file.name for file in out.iterdir()} - own:
        raise InputError(
            f"out must be a new folder or one of predictions, got {str(out)!r}; give another name"
        )
    others = sorted(file.name for file in out.glob("part-*.parquet") if digest not in file.name)
    if others and not overwrite:
        raise InputError(
            f"out must not hold predictions of other models, Sample or options, got {str(out)!r} with "
            f"{others[0]!r}; give another folder or pass overwrite=True"
        )
