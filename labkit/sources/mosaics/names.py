"""Which file is which band: folders with a pattern, pairs, and what must not come twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from labkit.errors import InputError, MissingDataError

__all__ = ["blue_to_red", "chosen_files", "folder_files", "refuse_twice"]


def folder_files(folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """Bands and files of a folder, from blue to red.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    pattern : str
        Their names, with ``*`` and ``?`` for anything and ``{band}`` for the band, letters and digits.

    Returns
    -------
    list of (str, Path)
        Ordered by wavelength where bands are named like HST's filters (F814 is 0.81 um, F105 is 1.05 um),
        others after them by name.

    Raises
    ------
    MissingDataError
        If there is no such folder, or no such file in it.
    InputError
        If the pattern lacks the band.
    """
    if "{band}" not in pattern:
        raise InputError(f"pattern must hold {{band}} where the band stands in file names, got {pattern!r}")
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {str(folder)!r} of mosaics; check the path")
    parts = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split("{band}")]
    named = re.compile(f"{parts[0]}(?P<band>[A-Za-z0-9]+){'(?P=band)'.join(parts[1:])}")
    matches = [(named.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    found = [(match["band"], path) for match, path in matches if match is not None]
    if not found:
        raise MissingDataError(
            f"folder {str(folder)!r} must hold files named like {pattern!r}, got none; give another pattern"
        )
    return sorted(found, key=lambda pair: blue_to_red(pair[0]))


def blue_to_red(band: str) -> tuple[float, str]:
    """Key by which to sort bands: the wavelength (nm) where they are named like HST's filters, then the name.

    Parameters
    ----------
    band : str
        Name of a band.
    """
    number = re.fullmatch(r"F(\d{3})[A-Z]*", band)
    if number is None:
        return np.inf, band
    digits = int(number[1])  # nanometres, or tens of them for the infrared filters
    return (digits if digits >= 200 else 10 * digits), band


def chosen_files(files: Sequence[tuple[str, Path]], bands: Iterable[str] | None) -> list[tuple[str, Path]]:
    """The files of some bands, in their order; all for None.

    Raises
    ------
    MissingDataError
        If a band is not there.
    InputError
        If a band or a file comes twice.
    """
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
    """Refuse a band that is given twice, and a file that is given for two bands.

    Raises
    ------
    InputError
        If there is one.
    """
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
