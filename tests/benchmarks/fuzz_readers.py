"""Mutated files for every reader: each is read or refused with an InputError, in bounded time and memory.

Run ``python tests/benchmarks/fuzz_readers.py --cases 200 --seed 1 [--only catalogue]``. Each reader gets a
small good input, then as many mutations of it: bytes flipped, cut, repeated, other encodings, huge claims,
header cards changed, compressed bombs. Every case is read in a child process of its own with limits on time
and memory. The table counts what was read, refused (InputError, MissingDataError), foreign exceptions,
crashes, memory, hangs.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import astropy.units as u
import nbformat
import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.table import QTable
from PIL import Image

from labkit.errors import InputError
from labkit.experiment import Experiment, preset, read_experiments
from labkit.images.coordinates import tangent_plane
from labkit.learn import Model
from labkit.learn.networks import build_network
from labkit.predictions import Predictions
from labkit.run.parameters import read_parameters
from labkit.run.sequence import read_sequence
from labkit.sample import Sample
from labkit.sample.labels import read_labels
from labkit.sources import (
    fetch_kosiba2020,
    read_candidates,
    read_export,
    read_flat_answers,
    read_images,
    read_mosaics,
    read_observation,
    read_plates,
)
from labkit.tables import read_catalogue, write_table
from labkit.votes import read_tree

SECONDS = 20  # processor time and twice that on the clock
MEMORY = 3 * 2**30  # address space beyond what the parent has
SIDE = 48
RNG = np.random.default_rng(7)


class Reader(NamedTuple):
    """A reader with small good inputs: `make` writes one into a folder and returns its path."""

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]


# ---- good inputs


SKY = tangent_plane(150.0, 2.0, 1.0, (SIDE, SIDE))


def image(path: Path, *, compressed: bool = False, **cards: object) -> Path:
    header = SKY.to_header()
    header.update({"RA_PNT": 150.0, "DEC_PNT": 2.0, "EXPTIME": 5000.0, "OBS_ID": "0123"} | cards)
    data = RNG.normal(10, 1, (SIDE, SIDE)).astype(np.float32)
    if compressed:
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(data, header)])
    hdus.writeto(path)
    return path


def mosaics(folder: Path) -> Path:
    for number, band in enumerate(("F435", "F814")):
        image(folder / f"A1_{band}.fits", PHOTZP=25.0 + number, BUNIT="ELECTRONS/S")
    return folder


def catalogue(n: int = 30) -> QTable:
    table = QTable({"object_id": [f"C{i:03d}" for i in range(n)]})
    table["ra"], table["dec"] = RNG.uniform(149.99, 150.01, n) * u.deg, RNG.uniform(1.99, 2.01, n) * u.deg
    table["z_spec"], table["counts"] = RNG.uniform(0.1, 0.6, n), RNG.integers(0, 999, n)
    table["label"] = ["low-z cluster", "point source", "nearby galaxy"] * (n // 3)
    return table


def table_file(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"table{ending}"
        if ending.endswith(".vot"):
            catalogue().write(path, format="votable")
        elif ending.endswith(".gz"):
            inner = write_table(catalogue(), folder / f"inner{ending.removesuffix('.gz')}")
            path.write_bytes(gzip.compress(inner.read_bytes()))
            inner.unlink()
        elif ending in (".tsv", ".txt"):
            catalogue().write(path, format="ascii.tab")
        else:
            write_table(catalogue(), path)
        return path

    return make


def regions(folder: Path) -> Path:
    lines = ["# Region file format: DS9", "global color=green", "fk5"]
    lines += [f'circle({150 + i / 5000:.5f},{2 - i / 6000:.5f},3") # text={{C{i}}}' for i in range(8)]
    lines += ['-circle(150,2,3")', 'ellipse(10:00:00.1,+02:00:01,3",2",40)']
    path = folder / "found.reg"
    path.write_text("\n".join([*lines, "image", "point(20,21)", ""]))
    return path


def labels(folder: Path) -> Path:
    path = folder / "labels.csv"
    rows = [f"C{i:03d},low-z cluster,2026-01-0{1 + i % 9}T10:00:00+00:00,seen by {i}" for i in range(12)]
    path.write_text("\n".join(["object_id,label,time,note", *rows, ""]))
    return path


def export(folder: Path) -> Path:
    names = "classification_id,user_name,user_id,workflow_id,workflow_name,workflow_version,annotations"
    lines = [f"{names},subject_data,subject_ids"]
    for i in range(20):
        said = [{"task": "T0", "task_label": "?", "value": "X-ray emission"}]
        said += [{"task": "T1", "task_label": "?", "value": ["Point-like"] if i % 2 else 1}]
        data = {str(i): {"#object_id": f"X{i}", "ra": 10.0}}
        cells = [json.dumps(each).replace('"', '""') for each in (said, data)]
        lines.append(f'{1000 + i},ann{i % 5},12,6122,Hunt,28.30,"{cells[0]}","{cells[1]}",{i}')
    path = folder / "export.csv"
    path.write_text("\n".join([*lines, ""]))
    return path


def packed(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make_packed(folder: Path) -> Path:
        path = make(folder)
        new = path.with_name(f"{path.name}.gz")
        new.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        return new

    return make_packed


def answers(folder: Path) -> Path:
    path = folder / "answers.csv"
    rows = [f"u{i % 4},{i},{('Yes!', 'No.')[i % 2]},true" for i in range(20)]
    path.write_text("\n".join(["user_name,subject_ids,answer,logged_in", *rows, ""]))
    return path


def image_list(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "Kosiba2020.zip", "w", zipfile.ZIP_DEFLATED) as handle:
        for split in ("train", "test"):
            handle.writestr(f"Kosiba2020/{split}.csv", f"image_id,class\n{split}1,low-z\n{split}2,point\n")
            for number in (1, 2):
                buffer = io.BytesIO()
                pixels = np.zeros((356, 356, 3), np.uint8)
                pixels[..., 1] = np.kron(60 * RNG.integers(0, 4, (89, 89)), np.ones((4, 4)))
                pixels[..., 2] = RNG.integers(0, 255, (356, 356))
                Image.fromarray(pixels).save(buffer, "PNG")
                handle.writestr(f"Kosiba2020/{split}_images/{split}{number}.png", buffer.getvalue())
    return folder / "Kosiba2020.zip"


def raw_sample(n: int = 12, side: int = 16) -> Sample:
    table = catalogue(n)["object_id", "ra", "dec", "label"]
    table["split"] = ["train", "validation", "test"] * (n // 3)
    images = RNG.poisson(1.0, (n, 2, side, side)).astype(np.float32)
    return Sample(images, table, bands=("xray", "optical"), pixel_scale=2 * u.arcsec)


def sample(folder: Path) -> Path:
    raw_sample().save(folder / "sample")
    return folder / "sample"


def predictions(folder: Path) -> Path:
    one = Predictions.from_arrays(
        object_id=[f"C{i}" for i in range(12)],
        true=["cluster", "non-cluster"] * 6,
        probabilities=np.tile([[0.25, 0.75]], (12, 1)),
        classes=("non-cluster", "cluster"),
        positive="cluster",
        split="test",
        experiment="CN-E",
        seed=0,
    )
    return one.save(folder / "predictions.parquet")


def model(folder: Path) -> Path:
    experiment = Experiment(name="small", image_size=32, epochs=1)
    Model.of(experiment, build_network(experiment), raw_sample(), seed=0).save(folder / "model")
    return folder / "model"


def experiments(folder: Path) -> Path:
    path = folder / "declared.toml"
    path.write_text(
        'title = "Two"\n[defaults]\nbatch_size = 16\noptimiser = { kind = "adamw", learning_rate = 2e-3 }\n'
        '[[experiments]]\npreset = "CN-E"\n[[experiments]]\nname = "other"\npreset = "CN-E"\nseeds = [1, 2]\n'
    )
    return path


def notebook(folder: Path) -> Path:
    cell = nbformat.v4.new_code_cell(
        'n: int = 5  # objects\nfolder: str = "a"  # path\nspan: tuple[float, float] = (0.5, 2.0)  # mag\n'
        'names: list[str] = []  # of networks\noptions: dict = {"a": [1, 2]}  # of reading'
    )
    cell.metadata["tags"] = ["parameters"]
    path = folder / "section.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), cell]), path)
    return path


def sequence(folder: Path) -> Path:
    path = folder / "steps.toml"
    path.write_text(
        'name = "two"\ntitle = "Two"\n[parameters]\nseed = 1\n[[steps]]\nnotebook = "a.ipynb"\n'
        'outputs = ["{run}/a.parquet"]\n[steps.parameters]\nbands = ["F435"]\n'
    )
    return path


def tree(folder: Path) -> Path:
    path = folder / "tree.toml"
    path.write_text(
        'name = "t"\ntitle = "T"\nclasses = ["a", "b"]\n[[questions]]\ntask = "T0"\ntext = "?"\n'
        'answers = [{text = "left", leaf = "l", class = "a"}, {text = "right", leaf = "r", class = "b"}]\n'
    )
    return path


def cut_out(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pixels = np.random.default_rng(3).uniform(0, 255, (24, 24)).astype(np.float32)
        path = folder / f"cut{ending}"
        if ending == ".npy":
            np.save(path, pixels)
        elif ending == ".fits":
            fits.writeto(path, pixels, tangent_plane(150, 2, 0.2, pixels.shape).to_header())
        else:
            Image.fromarray(pixels if ending == ".tif" else pixels.astype(np.uint8)).save(path)
        return path

    return make


def read_cut_out(path: Path) -> Sample:
    return read_images(QTable({"file": [path.name]}), path.parent, pixel_scale=1 * u.arcsec)


def whole(sample: Sample) -> object:
    return np.asarray(sample.images[:]).sum(), sample.catalogue.meta


READERS = [
    Reader("observation, FITS", lambda f: image(f / "epic.fits"), read_observation),
    Reader("observation, FITS.gz", lambda f: image(f / "epic.fits.gz"), read_observation),
    Reader("observation, tiles", lambda f: image(f / "epic.fits", compressed=True), read_observation),
    Reader("mosaics", mosaics, read_mosaics),
    Reader("plates", lambda f: image(f / "plate.fits"), read_plates),
    *(
        Reader(f"catalogue, {ending}", table_file(ending), read_catalogue)
        for ending in (".fits", ".ecsv", ".csv", ".tsv", ".vot", ".parquet", ".csv.gz", ".fits.gz")
    ),
    Reader("candidates, .csv", table_file(".csv"), lambda path: read_candidates(path, wcs=SKY)),
    Reader("regions", regions, lambda path: read_candidates(path, wcs=SKY)),
    Reader("labels", labels, read_labels),
    Reader("votes, export", export, lambda path: read_export(path, "hunt")),
    Reader("votes, export.gz", packed(export), lambda path: read_export(path, "hunt")),
    Reader("votes, flat", answers, lambda path: read_flat_answers(path, "presence_absence")),
    Reader("decision tree", tree, read_tree),
    Reader("image lists", image_list, fetch_kosiba2020),
    *(
        Reader(f"cut-out, {ending}", cut_out(ending), read_cut_out)
        for ending in (".fits", ".npy", ".png", ".jpg", ".tif")
    ),
    Reader("sample", sample, lambda path: whole(Sample.load(path))),
    Reader("predictions", predictions, Predictions.load),
    Reader("model", model, Model.load),
    Reader("experiments", experiments, read_experiments),
    Reader("notebook", notebook, read_parameters),
    Reader("sequence", sequence, read_sequence),
]

# ---- mutations


CLAIMS = (b"999999999", b"-1", b"0", b"1e308", b"4294967296", b"NaN", b"inf", b"1" * 5000)
WORDS = (
    b'"', b"'", b"{", b"}",
    b"[", b"]", b"<", b">", b",", b"\t", b"\0", b"\r", b"\n\n", b"#", b"\xff\xfe", b"=",
)  # fmt: skip
VALUES = "T 'text' -999 1E400 NaN 'NaN' 0 1.5 'RA---SIP' 'F' 2147483648"
CARDS = """
    AMDX1 PLTRAH CNPIX1 A_ORDER CTYPE1 CRPIX1 CDELT1 CD1_1 PC1_1 EQUINOX RADESYS NAXIS1 NAXIS2 NAXIS BITPIX
    BSCALE BZERO BLANK TFIELDS PCOUNT TFORM1 TTYPE1 TDIM1 RA_PNT EXPTIME PHOTZP PHOTFLAM BUNIT CRVAL2 LONPOLE
    ZTILE1 ZCMPTYPE ZNAXIS1 CPDIS1 D2IMDIS1 PV1_1 WCSAXES XTENSION GCOUNT
"""


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, len(changed), rng.integers(1, 12))
    changed[places] = rng.integers(0, 256, len(places))
    return changed.tobytes()


def flip_bits_early(data: bytes, rng: np.random.Generator) -> bytes:
    head = min(len(data), 512)
    return flip(data[:head], rng) + data[head:]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:end] if rng.random() < 0.6 else data[:start] + data[end:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:end] + data[start:end] * int(rng.integers(1, 4)) + data[end:]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 5)):
        at = rng.integers(0, len(data) + 1)
        data = data[:at] + WORDS[rng.integers(len(WORDS))] * int(rng.choice([1, 1, 2, 200])) + data[at:]
    return data


def claim(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(re.finditer(rb"\d+", data[:20000]))
    if not found:
        return flip(data, rng)
    one = found[rng.integers(len(found))]
    new = CLAIMS[rng.integers(len(CLAIMS))]
    if data[:6] == b"SIMPLE":  # a card keeps its length
        room = data[max(0, one.start() - len(new) + 1) : one.start()]
        if len(new) > 20 or room.strip():
            return flip(data, rng)
        start = one.end() - max(len(new), one.end() - one.start())
        return data[:start] + new.rjust(one.end() - start) + data[one.end() :]
    return data[: one.start()] + new + data[one.end() :]


def card(data: bytes, rng: np.random.Generator) -> bytes:
    """Another value of a card, or another card, in one of a FITS file's headers."""
    if data[:6] != b"SIMPLE":
        return claim(data, rng)
    names, values = CARDS.split(), [*VALUES.split(), ""]
    name, value = names[rng.integers(len(names))], values[rng.integers(len(values))]
    places = [i for i in range(0, min(len(data), 28800), 80) if data[i : i + 8] == name.ljust(8).encode()]
    ends = [i for i in range(0, min(len(data), 28800), 80) if data[i : i + 8] == b"END     "]
    new = f"{name:8s}= {value:>20s}".ljust(80).encode()
    if places:
        at = places[rng.integers(len(places))]
        return data[:at] + new + data[at + 80 :]
    if not ends or (ends[0] + 80) % 2880 == 0:
        return flip(data, rng)
    return data[: ends[0]] + new + b"END".ljust(80) + data[ends[0] + 160 :]


def encode_otherwise(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode("latin-1")
    kind = ("utf-16", "utf-32", "utf-8-sig", "cp037", "latin-1")[rng.integers(5)]
    text = text if kind != "latin-1" else text.replace("a", "\xe9").replace("C", "\xdf")
    return text.encode(kind, errors="replace")


def swell(data: bytes, rng: np.random.Generator) -> bytes:
    """A small compressed file that unpacks to hundreds of megabytes; else a long run of one byte."""
    filler = (b"\0", b" ", b"\n", b"9", b",", b"x")[rng.integers(6)]
    if data[:2] == b"\x1f\x8b":
        start = b""
        with contextlib.suppress(OSError, EOFError, zlib.error):
            start = gzip.decompress(data)
        return gzip.compress(start, 1) + gzip.compress(filler * 2**23, 9) * 100
    at = rng.integers(0, len(data) + 1)
    return data[:at] + filler * int(rng.choice([2000, 200_000, 3_000_000])) + data[at:]


def inner(data: bytes, rng: np.random.Generator) -> bytes:
    """A mutation of what a compressed file holds."""
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if data[:2] == b"\x1f\x8b" and len(data) < 300_000:
            return gzip.compress(mutate(gzip.decompress(data), rng), 1)
    return flip(data, rng)


MUTATIONS = (
    flip, flip_bits_early, cut, repeat, insert, claim, card, card, encode_otherwise, swell, inner, inner,
)  # fmt: skip


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One or two mutations; now and then nothing is left."""
    if not data or rng.random() < 0.01:
        return b""
    if data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        return inner(data, rng)
    for _ in range(rng.integers(1, 3)):
        data = MUTATIONS[rng.integers(len(MUTATIONS))](data, rng) or b""
        if not data:
            break
    return data


# ---- one case in a child process


def limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def outcome(read: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """What became of one file in this process, and where."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except BaseException as error:
        if any(isinstance(each, MemoryError | pa.ArrowMemoryError) for each in causes(error)):
            kind = "memory"
        elif isinstance(error, InputError):
            return "refused", str(error)[:300]
        else:
            kind = "foreign"
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "/labkit/" in f.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
        return kind, f"{type(error).__name__} in {where}: {str(error)[:120]!r}"
    return "read", ""


def try_case(read: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """The same in a child, whatever happens to it there."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        limit()
        try:
            os.write(send, json.dumps(outcome(read, path)).encode()[:4000])
        finally:
            os._exit(0)
    os.close(send)
    status, end = None, time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.002)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        status = None
    with os.fdopen(receive, "rb") as pipe:
        said = pipe.read()
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        return "hang", f"longer than {SECONDS} s"
    if os.WIFSIGNALED(status):
        return "crash", signal.Signals(os.WTERMSIG(status)).name
    return tuple(json.loads(said)) if said else ("crash", "ended without a word")


def fuzz(reader: Reader, cases: int, seed: int, keep: Path | None) -> tuple[Counter[str], Counter[str]]:
    """Counts of outcomes of one reader, and of the messages of all but read and refused."""
    counts, messages = Counter(), Counter()
    rng = np.random.default_rng([seed, *reader.name.encode()])
    with tempfile.TemporaryDirectory() as temporary:
        good = Path(temporary) / "good"
        good.mkdir()
        path = reader.make(good)
        said = try_case(reader.read, path)
        if said[0] != "read":
            raise SystemExit(f"{reader.name}: the good input must be read, got {said}")
        files = sorted(file for file in good.rglob("*") if file.is_file())
        for number in range(cases):
            work = Path(temporary) / "work"
            shutil.copytree(good, work)
            victim = work / files[rng.integers(len(files))].relative_to(good)
            victim.write_bytes(mutate(victim.read_bytes(), rng))
            kind, text = try_case(reader.read, work / path.relative_to(good))
            counts[kind] += 1
            if kind not in ("read", "refused"):
                if keep and not messages[f"{kind}: {text}"]:
                    shutil.copytree(work, keep / re.sub(r"\W+", "-", reader.name) / str(number))
                messages[f"{kind}: {text}"] += 1
            shutil.rmtree(work)
    return counts, messages


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200, help="mutated inputs of each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder for one input of each failure")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    preset("CN-E")
    kinds = ("read", "refused", "foreign", "crash", "memory", "hang")
    print(f"{'reader':22s}{'inputs':>8s}" + "".join(f"{kind:>9s}" for kind in kinds))
    total: Counter[str] = Counter()
    for reader in READERS:
        if options.only not in reader.name:
            continue
        counts, messages = fuzz(reader, options.cases, options.seed, options.keep)
        total += counts
        line = "".join(f"{counts[kind]:9d}" for kind in kinds)
        print(f"{reader.name:22s}{counts.total():8d}{line}", flush=True)
        for text, count in messages.most_common(8):
            print(f"    {count:4d} {text}", flush=True)
    print(f"{'all':22s}{total.total():8d}" + "".join(f"{total[kind]:9d}" for kind in kinds))
    sys.exit(any(total[kind] for kind in kinds[2:]))


if __name__ == "__main__":
    main()
