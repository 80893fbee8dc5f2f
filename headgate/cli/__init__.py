"""The command line: each command in the module of its subject, imported only when it is used, so that help is quick."""

from headgate.cli.entry import main

__all__ = ["main"]
