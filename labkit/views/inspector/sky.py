"""Sky positions as astronomers write them, and where to look at them elsewhere."""

from __future__ import annotations

from urllib.parse import quote

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle

__all__ = ["links", "sexagesimal"]


def sexagesimal(ra: u.Quantity, dec: u.Quantity) -> str:
    """A position as "10h20m30.40s +04d05m06.7s"; empty if it is not finite."""
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    right = Angle(ra).to_string(unit=u.hourangle, precision=2, pad=True)
    return f"{right} {Angle(dec).to_string(unit=u.deg, precision=1, pad=True, alwayssign=True)}"


def links(ra: u.Quantity, dec: u.Quantity, *, width: u.Quantity) -> dict[str, str]:
    """Addresses of services that show a position; nothing is fetched.

    Parameters
    ----------
    ra, dec : `~astropy.units.Quantity`
        ICRS position.
    width : `~astropy.units.Quantity`
        Side of the field to show, an angle; half of it is the radius of searches.

    Returns
    -------
    dict of str to str
        Address by name of the service; empty if the position is not finite.
    """
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return {}
    x, y, field = (float(value.to_value(u.deg)) for value in (ra, dec, width))
    place, radius = quote(f"{x:.6f} {y:+.6f}"), f"{30 * field:.2f}"
    return {
        "Aladin Lite": f"https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov={field:.3f}",
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={radius}&Radius.unit=arcmin",
        "NED": "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
        f"&ra={x:.6f}d&dec={y:.6f}d&radius={radius}&in_csys=Equatorial&in_equinox=J2000",
        "ESASky": f"https://sky.esa.int/?target={place}&fov={field:.3f}&sci=true",
    }
