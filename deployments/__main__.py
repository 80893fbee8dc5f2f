"""`python -m deployments register` offers everything at a running Prefect server; `python -m deployments work` runs it.

The same as `headgate deploy` and `headgate work`.
"""

import sys

from headgate.cli import main

COMMANDS = {"register": "deploy", "work": "work"}

if __name__ == "__main__":
    words = sys.argv[1:]
    if not words or words[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)  # noqa: T201 -- a command line prints
        sys.exit(0 if words in (["--help"], ["-h"]) else 2)
    main([COMMANDS[words[0]], *words[1:]])
