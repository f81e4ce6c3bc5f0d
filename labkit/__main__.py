"""`python -m labkit`: the command line."""

from __future__ import annotations

from labkit.cli import main

if __name__ == "__main__":
    main()
