"""One training: the run it is built from, the loop, its state, and what is observed on the way."""
