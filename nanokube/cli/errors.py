"""Errors of the command line: one line says what cannot be done and why, a hint says what to do."""

import os

import click


class Failure(click.ClickException):
    """A verb that could not do its work; exits with 1."""

    def show(self, file: object = None) -> None:
        click.echo(f"nanokube: {self.message}", err=True)


def failure(message: str, hint: str = "") -> Failure:
    """Make the one-line error; the hint follows on its own line."""
    return Failure(message + (f"\nhint: {hint}" if hint else ""))


def require_root(verb: str, *, is_group: bool = False) -> None:
    """Stop unless the caller is root: namespaces, cgroups and mounts need it. is_group: a verb follows."""
    if os.geteuid() != 0:
        raise failure(f"{verb} needs root", f"run `sudo nanokube {verb}{' …' if is_group else ''}`")
