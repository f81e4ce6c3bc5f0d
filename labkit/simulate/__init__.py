"""Simulated skies: the physics, the instruments and the surveys that labkit shows first."""
