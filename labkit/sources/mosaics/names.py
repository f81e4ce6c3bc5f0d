"""Which file is which band: folders with a pattern, pairs, wavelengths, and what must not come twice."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from labkit.errors import InputError, MissingDataError

logger = logging.getLogger(__name__)

#: What the last part of a name says of a file of high-level products: an image of the sky, or a map.
_IMAGES = {"drz", "drc", "sci", "img", "image", "mosaic", "coadd", "i2d"}
_MAPS = {
    "wht", "weight", "weights", "rms", "exp", "expmap", "exposure", "ctx", "con", "err", "error", "var",
    "ivm", "ivar", "sigma", "flag", "flags", "mask", "seg", "segm", "segmentation", "psf", "bkg",
    "background", "cat",
}  # fmt: skip


def wavelength_um(band: str, telescope: str = "") -> float | None:
    """Wavelength of a band by its name (F814W, f444w, g, Ks), in micrometres; None where it is not known."""
    known, jwst = _wavelengths()
    for name in (band, band.upper()):
        if name in known:
            return known[name]
    number = re.fullmatch(r"F(\d{3,4})[A-Z]*2?", band.upper())
    if number is None:
        return None
    digits = int(number[1])
    tens = telescope.upper() == "JWST" or band.upper() in jwst or digits < 200 or len(number[1]) == 4
    return digits / (100 if tens else 1000)


def blue_to_red(band: str, telescope: str = "") -> tuple[float, str]:
    """Key to sort bands by: wavelength, those that are not known last, then name."""
    known = wavelength_um(band, telescope)
    return float("inf") if known is None else known, band


@cache
def _wavelengths() -> tuple[dict[str, float], frozenset[str]]:
    tables = tomllib.loads((Path(__file__).with_name("wavelengths.toml")).read_text())
    jwst = frozenset(tables.pop("jwst")["names"])
    return {name: um for table in tables.values() for name, um in table.items() if name != "source"}, jwst


def folder_files(folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """Bands and files of a folder; ``{band}`` in the pattern is letters and digits, ``*`` and ``?`` anything.

    High-level products end in what they hold ("..._f814w_v1_drz.fits"): an image of the sky then takes the
    one known band in its name, weight and rms maps are left out.
    """
    if "{band}" not in pattern:
        raise InputError(f"pattern must hold {{band}} where the band stands in file names, got {pattern!r}")
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {str(folder)!r} of mosaics; check the path")
    parts = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split("{band}")]
    form = re.compile(f"{parts[0]}(?P<band>[A-Za-z0-9]+){'(?P=band)'.join(parts[1:])}")
    matches = [(form.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    found = [(_band_of(match["band"], path), path) for match, path in matches if match is not None]
    if maps := [path.name for band, path in found if band is None]:
        logger.info("left out %s: maps, not images of the sky", ", ".join(maps))
    files = [(band, path) for band, path in found if band is not None]
    if not files:
        raise MissingDataError(
            f"folder {str(folder)!r} must hold files named like {pattern!r}, got none"
            f"{f' but the maps {maps}' if maps else ''}; give another pattern"
        )
    return sorted(files, key=lambda pair: blue_to_red(pair[0]))


def _band_of(word: str, path: Path) -> str | None:
    """The band that a word of a file's name stands for; None for a map."""
    words = re.split(r"[_.\-]", path.name)
    if word.lower() in _MAPS or (word.lower() in _IMAGES and _MAPS & {one.lower() for one in words}):
        return None
    if word.lower() not in _IMAGES:
        return word
    bands = [one for one in words if len(one) > 1 and wavelength_um(one) is not None]
    bands = bands or [one for one in words[1:] if wavelength_um(one) is not None]
    if len(set(bands)) != 1:
        raise InputError(
            f"the band in the name of {path.name!r} must be clear, got {bands or f'only {word!r}'}; give a "
            f"pattern, such as '*_{{band}}_*{word}.fits*'"
        )
    return bands[0]


def chosen_files(files: Sequence[tuple[str, Path]], bands: Iterable[str] | None) -> list[tuple[str, Path]]:
    """The files of some bands, in their order; all for None."""
    refuse_twice(files)
    if bands is None:
        return list(files)
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    there = dict(files)
    if missing := [name for name in names if name not in there]:
        raise MissingDataError(
            f"bands must be among those that are there {tuple(there)}, got {missing}; add their mosaics or "
            "choose other bands"
        )
    return [(name, there[name]) for name in names]


def refuse_twice(files: Sequence[tuple[str, Path | None]]) -> None:
    """Refuse a band that is given twice, and a file that is given for two bands."""
    bands: dict[str, Path | None] = {}
    paths: dict[Path, str] = {}
    for band, path in files:
        if band in bands:
            names = " and ".join(repr(str(one)) for one in (bands[band], path) if one is not None)
            raise InputError(
                f"each band must be given once, got {band!r} twice ({names}); remove one of them"
            )
        bands[band] = path
        if path is not None and paths.setdefault(path.resolve(), band) != band:
            raise InputError(
                f"each file must belong to one band, got {path.name!r} for {paths[path.resolve()]!r} and "
                f"{band!r}; name the right file"
            )
