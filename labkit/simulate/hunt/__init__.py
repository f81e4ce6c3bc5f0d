"""The simulated Hunt: `volunteers`, the `answers` that tempt them, the `export` of what they said; `hunt`."""
