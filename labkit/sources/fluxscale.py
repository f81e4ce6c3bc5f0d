"""The flux scale of a mosaic by its header: AB magnitude of one unit of a pixel, and the electrons in it.

`zero_points.toml` lists the keywords, each with what it belongs to and its source.
"""

import logging
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits

from labkit.errors import InputError
from labkit.sources.fitsfile import header_number, header_text

logger = logging.getLogger(__name__)

_ELECTRONS, _COUNTS = ("electrons", "electron", "e-", "e"), ("counts", "count", "cts", "ct", "dn", "adu")
_PER_SECOND = ("/s", "/sec", "/second", "s-1", "s^-1", "s**-1")
_SAME_MAG = 0.05  # statements of one header that differ by more are told


@dataclass(frozen=True)
class FluxScale:
    """What a header says of a pixel's unit."""

    zero_point: float | None  # AB magnitude of one unit of flux in a pixel; None where it is not known
    origin: str  # the keyword that says so, or why none does
    gain: float | None  # electrons in one unit


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("zero_points.toml").read_text(encoding="utf-8"))


def scale_keywords() -> tuple[str, ...]:
    """All cards that `flux_scale` looks at."""
    more = ("PHOTPLAM", "PHOTSYS", "PIXAR_SR", "PIXAR_A2", "BUNIT", "EXPTIME", "GAIN", "BSOFTEN")
    return *_tables()["keywords"], *more, "INSTRUME", "FILTER"


def flux_scale(header: fits.Header, *, band: str = "", where: str = "") -> FluxScale:
    """The flux scale that the header of a `band`'s mosaic, in the file `where`, states.

    A unit of flux in BUNIT counts first, then the keywords of ``zero_points.toml``; other statements that
    differ are told. Electrons in a unit follow from BUNIT, EXPTIME and, where pixels are counts, GAIN.
    """
    if header_number(header, "BSOFTEN", where=where):
        raise InputError(
            f"pixels of {where!r} must be linear in flux, got an asinh scale (BSOFTEN); write BOFFSET + "
            "2 BSOFTEN sinh(pixel ln 10 / 2.5) in their place and remove BSOFTEN"
        )
    unit = header_text(header, "BUNIT")
    word = unit.lower().replace(" ", "")
    rate = word == "cps" or word.endswith(_PER_SECOND)
    word = next((word.removesuffix(end) for end in _PER_SECOND if word.endswith(end)), word)
    about: dict[str, Any] = {
        "rate": rate or (False if word in (*_ELECTRONS, *_COUNTS) else None),
        "band": band,
        "where": where,
    }
    said = [("BUNIT", _of_unit(header, unit, where)), *_of_keywords(header, **about)]
    known = [(name, value) for name, value in said if isinstance(value, float)]
    gain = None if known and known[0][0] == "BUNIT" else _gain(header, word, rate, where)
    if not known:
        reasons = [f"{name}: {value}" for name, value in said if value]
        return FluxScale(None, "; ".join(reasons) or "no keyword of its header", gain)
    for name, value in known[1:]:
        if abs(value - known[0][1]) > _SAME_MAG:
            logger.warning("%s: zero point %.3f by %s, not %.3f by %s", where, *known[0][::-1], value, name)
    return FluxScale(known[0][1], known[0][0], gain)


def _of_keywords(
    header: fits.Header, *, rate: bool | None, band: str, where: str
) -> Iterator[tuple[str, float | str]]:
    """AB magnitude of one unit of a pixel by each keyword that is there, or why it gives none."""
    for name, about in _tables()["keywords"].items():
        flux = about["of"].startswith("flux")
        limits = {"low": 1e-40} if flux else {"low": -50.0, "high": 100.0}
        value = header_number(header, name, where=where, **limits)
        if value is None:
            continue
        if about["of"] == "flux density":
            pivot = header_number(header, "PHOTPLAM", low=1e-9, where=where)
            if pivot is None:
                yield name, "there is no PHOTPLAM"
                continue
            value = -2.5 * np.log10(value) - 5 * np.log10(pivot) - 2.408
        elif flux:
            value = 2.5 * np.log10(value)
        elif "vega" in _system(header, name, about):
            offsets = _tables()["vega"].get(header_text(header, "INSTRUME").upper(), {})
            found = [offsets[key] for key in (band, header_text(header, "FILTER")) if key in offsets]
            if not found:
                yield name, "a Vega magnitude; add AB - Vega of the filter"
                continue
            value += found[0]
        total = not rate if rate is not None else about.get("unstated") == "total"
        if about["of"] in ("second", "flux density") and total:
            seconds = header_number(header, "EXPTIME", low=1e-9, where=where)
            if seconds is None:
                yield name, "pixels are totals, but there is no EXPTIME"
                continue
            value += 2.5 * np.log10(seconds)
        yield name, float(value)


def _system(header: fits.Header, name: str, about: dict[str, str]) -> str:
    """System of a magnitude, in lower case: by PHOTSYS, by the card's comment, or as the keyword has it."""
    named = re.search(r"\b(vega|ab)\b", header.comments[name].lower())
    return (header_text(header, "PHOTSYS") or (named[0] if named else about.get("system", "AB"))).lower()


def _of_unit(header: fits.Header, text: str, where: str) -> float | str:
    """AB magnitude of a unit that is a flux, or a surface brightness over a known area; or why not."""
    if text.lower().startswith(("nanomagg", "nmgy")):
        return 22.5
    try:
        unit = u.Unit(text) if text else u.one
    except ValueError:
        return ""
    if (unit * u.pix).is_equivalent(u.Jy):
        unit *= u.pix
    if unit.is_equivalent(u.Jy):
        return float((1 * unit).to_value(u.ABmag))
    if not unit.is_equivalent(u.Jy / u.sr):
        return ""
    area = header_number(header, "PIXAR_SR", low=1e-30, where=where)
    square = header_number(header, "PIXAR_A2", low=1e-30, where=where) if area is None else None
    if square is not None:
        area = (square * u.arcsec**2).to_value(u.sr)
    return f"{text} without PIXAR_SR" if area is None else float((area * u.sr * unit).to_value(u.ABmag))


def _gain(header: fits.Header, word: str, rate: bool, where: str) -> float | None:
    """Electrons in one unit of a pixel: of electrons, and of counts as far as GAIN tells."""
    if word in _ELECTRONS:
        each: float | None = 1.0
    else:
        each = header_number(header, "GAIN", low=1e-9, where=where) if word in ("", *_COUNTS) else None
    seconds = header_number(header, "EXPTIME", low=1e-9, where=where) if rate else 1.0
    return None if each is None or seconds is None else each * seconds
