"""Instruments as simulation and analysis both need them: XMM-Newton's cameras and mirrors."""

from labkit.instruments.mirrors import PointSpread, Templates, point_spread_image
