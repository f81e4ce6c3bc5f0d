"""Running notebooks and sweeps: typed parameters, one notebook, a sequence that resumes, many trainings."""
