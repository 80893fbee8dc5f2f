"""What must hold before any traffic: one check per file, each a function from a running model to a `CheckResult`."""
