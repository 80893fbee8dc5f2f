"""Make a bundle runnable: one virtual environment per lock, and a session with its worker."""
