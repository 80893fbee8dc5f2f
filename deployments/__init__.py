"""What can be started from the Prefect UI, its API, or a schedule, and what runs it. No logic of releases."""
