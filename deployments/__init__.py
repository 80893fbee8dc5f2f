"""What can be started from the Prefect UI or its API, and what runs it. No logic."""
