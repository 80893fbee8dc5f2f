"""What survives: faults at every boundary between two facts, on real processes, and a checker from outside."""
