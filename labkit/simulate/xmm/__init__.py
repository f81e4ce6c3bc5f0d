"""Seen through XMM-Newton: `pointing`, `events`, `artefacts`, `depth`; a whole field: `observation`."""
