"""Instruments as simulation and analysis both need them: XMM-Newton's cameras and mirrors."""

from __future__ import annotations

from labkit.instruments.mirrors import PointSpread, Templates, point_spread_image
