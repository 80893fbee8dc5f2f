"""`python -m deployments`: offer release and rollback on the Prefect server that `PREFECT_API_URL` names, and run them.

Runs in the foreground until it is stopped. The runs use this machine's environments, as `HEADGATE_HOME`,
`HEADGATE_STORE` and `HEADGATE_PORT` say.
"""

from prefect import serve

from flows.release import release
from flows.rollback import rollback

if __name__ == "__main__":
    serve(
        release.to_deployment("headgate", description="Release a model folder or a stored bundle."),
        rollback.to_deployment("headgate", description="Go back to a stored bundle."),
    )
