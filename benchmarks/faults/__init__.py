"""What survives: faults at every boundary between two facts, on the real processes, and a checker that looks from outside."""
