"""Order and waiting, nothing else: whole releases and rollbacks as Prefect flows."""
