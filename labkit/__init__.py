"""labkit: classify galaxy clusters, from images of candidates to a ranked, explained catalogue."""

from __future__ import annotations

__version__ = "0.1.0"
