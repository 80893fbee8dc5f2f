"""Where `headgate` begins: finds the command, turns errors into exit codes. It does nothing itself."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
import traceback
from typing import Any

import click

from headgate import __version__
from headgate.cli.colour import coloured
from headgate.errors import HeadgateError, Rejected

EXIT_CODES = """\b
Exit codes of every command:
  0  done; a release: promoted (or restored, for a rollback)
  1  a release: rolled back, turned back by a check, or aborted; verify, replay: a difference;
     load: a caller got an error
  2  wrong input, or a model that does not run: a person must change something
  3  could not: no answer, damaged bytes, or somebody else was first
  4  a release: still open, after --wait, Ctrl-C or SIGTERM; the same command goes on with it
With --json, exactly one JSON document is printed, also for an error: {"error", "hint", "kind"}."""

COMMANDS = {
    "init": ("folder", "Write a commented model folder that works."),
    "environment": ("policy", "Say what an environment insists on, and who may do what."),
    "up": ("environment", "Run an environment on this machine."),
    "down": ("environment", "Stop an environment on this machine."),
    "logs": ("environment", "Show what an environment says it does."),
    "load": ("environment", "Replay rows as live requests."),
    "outcomes": ("outcomes", "Report what became of answers."),
    "plan": ("plan", "Say what a release will need, before it is begun."),
    "calibrate": ("calibrate", "Measure harmless traffic before gates may block."),
    "release": ("release", "Release a model, or take up its open release."),
    "joint": ("joint", "Release several models in order: all, or none."),
    "submit": ("submit", "Ask a Prefect server for a release, as CI does."),
    "rollback": ("release", "Go back to a stored bundle."),
    "adopt": ("release", "Make a model that runs already the first stable."),
    "approve": ("decide", "Let a release's bundle pass, or decline it."),
    "reject": ("decide", "Refuse a release's bundle; the release ends."),
    "pause": ("decide", "Hold a release where it is; harm is still acted on."),
    "resume": ("decide", "Let a paused release go on."),
    "abort": ("decide", "End a release; traffic goes back to stable."),
    "sweep": ("sweep", "Look after open releases: judge who sleeps, carry on who died."),
    "status": ("status", "Show what serves, and how far open releases are."),
    "notify": ("notify", "Send what channels have not been told, or try one."),
    "history": ("look", "List what served when, and every release."),
    "show": ("look", "Show one release or bundle, and its report."),
    "compare": ("look", "Compare two bundles: schema, params, files, scores."),
    "deploy": ("deploy", "Offer releases at a Prefect server: forms, schedules, API."),
    "work": ("deploy", "Run what is started at a Prefect server."),
    "verify": ("prove", "Check every chain of facts and every stored byte."),
    "replay": ("prove", "Derive a release's verdicts again."),
    "backup": ("backup", "Copy everything that is stored elsewhere, and keep the last 30."),
    "restore": ("backup", "Fill an empty store from a backup, and prove all of it."),
    "gc": ("prove", "Delete bundles that nothing needs any more."),
}


class Commands(click.Group):
    """Finds a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a model's life, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"headgate.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest name for one that is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(f"no command `{args[0]}`" + (f"; did you mean `{near[0]}`?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="headgate")
def headgate() -> None:
    """Release a model a little at a time, and stop it the moment the evidence turns.

    \b
    A first walk:
      headgate init my-model            write a model folder that works
      headgate release my-model         compile, check, stage, shadow, canary, promote or roll back; it brings
                                        the environment "production" up on this machine, as `headgate up` does
      headgate status                   see what serves

    \b
    Where things are:
      HEADGATE_HOME    folder of this machine's environments (default .headgate)
      HEADGATE_STORE   object store: file:///path or s3://bucket/prefix (default a folder in HEADGATE_HOME)
      HEADGATE_PORT    port of the gateway (default 8080)
      HEADGATE_ACTOR   who is asking (default the login name)

    `headgate COMMAND --help` says what a command does, when to use it, and gives an example.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its documented exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    try:
        code: Any = headgate.main(args=given, standalone_mode=False)
    except click.UsageError as wrong:
        complain_of_usage(wrong, as_json=as_json)
        sys.exit(2)
    except click.ClickException as wrong:
        complain(wrong.format_message(), "see --help", "Usage", as_json=as_json)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except HeadgateError as error:
        complain(error.message, error.hint, type(error).__name__, as_json=as_json)
        sys.exit(2 if isinstance(error, Rejected) else 3)
    except OSError as error:
        hint = "see whether that file or address can be used, then run the same command again"
        complain(str(error), hint, "Unavailable", as_json=as_json)
        sys.exit(3)
    except Exception as error:  # noqa: BLE001 -- Python's own exit code for it, 1, would mean "rolled back"
        traceback.print_exc()
        hint = "nothing that was recorded is lost; please report this, with the lines above"
        complain(f"a defect of headgate: {error!r}", hint, "Defect", as_json=as_json)
        sys.exit(3)
    sys.exit(code if isinstance(code, int) else 0)


def complain(message: str, hint: str, kind: str, *, as_json: bool) -> None:
    """Say what broke and what to do, on the channel that the caller reads."""
    if as_json:
        click.echo(json.dumps({"error": message, "hint": hint, "kind": kind}))
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {message}\n  -> {hint}", err=True, color=coloured())


def complain_of_usage(wrong: click.UsageError, *, as_json: bool) -> None:
    """Say which word of a command was wrong; for a person, with how it is used."""
    if not as_json:
        wrong.show()
        return
    command = wrong.ctx.command_path if wrong.ctx else "headgate"
    complain(wrong.format_message(), f"see `{command} --help`", "Usage", as_json=True)
