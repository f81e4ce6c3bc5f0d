"""The candidate finder: filter, extract, fit, select, after XAmin.

`detection` and `background` find where something stands out; `fits`, `likelihood`, `models`, `scene` and
`characterise` say what it is; `catalogue` and `find` put the two together; `comparison` holds the result
against another list.
"""

from __future__ import annotations

from labkit.finder.detection import detect
from labkit.finder.find import compare, find_candidates, search
from labkit.finder.models import Selection

__all__ = ["Comparison", "Detection", "Search", "Selection", "compare", "detect", "find_candidates", "search"]
