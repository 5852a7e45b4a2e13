"""The command line: a file for each command.  Nothing else of the package prints.

A command's file imports what it works with when it runs, so that none waits for another's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from drift_middleware import __version__
from drift_middleware.cli.backtest import backtest
from drift_middleware.cli.baseline import baseline
from drift_middleware.cli.check import check
from drift_middleware.cli.demo import demo
from drift_middleware.cli.export import export
from drift_middleware.cli.inspect import inspect
from drift_middleware.cli.report import report
from drift_middleware.cli.tail import tail
from drift_middleware.errors import DriftError


class Refusal(click.ClickException):
    """An error that is the user's to mend."""

    exit_code = 2


class Commands(click.Group):
    """A group that says what is wrong in one line, and ends with 2."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments."""
        with _in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _in_one_line():
            return super().invoke(ctx)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "drift-middleware"
        msg = f"{error.format_message()} See {path} --help."
        raise Refusal(msg) from error
    except DriftError as error:
        raise Refusal(str(error)) from error


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, message="drift-middleware %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Say whether a model server's traffic has drifted from its baseline."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (backtest, baseline, check, demo, export, inspect, report, tail):
    main.add_command(command)
