"""labkit: classify galaxy clusters, from images of candidates to a ranked, explained catalogue.

``import labkit as lab`` gives what a notebook needs; each name is loaded when it is first used (SPEC 1), so
that importing labkit costs nothing. `labkit/__init__.pyi` lists the names by what one does with them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
