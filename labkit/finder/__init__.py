"""The candidate finder: filter, extract, fit, select, after XAmin (Pacaud et al. 2006).

`detection` finds where something stands out of the background; `fits` says what it is, `characterise` does so
for a whole field, `find` makes the catalogue and holds it against another list; `simulated` searches
simulated fields for the candidates of a survey that was found; `injection` puts simulated clusters into an
observation and says which of them are found.
"""

from labkit.finder.detection import detect
from labkit.finder.find import compare, find_candidates, search
from labkit.finder.fits import Selection
from labkit.finder.injection import inject
from labkit.finder.simulated import search_fields
