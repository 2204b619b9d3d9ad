"""`nanokube completion SHELL`: a script for the shell to source."""

import click
from click import shell_completion


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell; `source <(nanokube completion bash)` turns it on."""
    from nanokube.cli.main import main

    completer = shell_completion.get_completion_class(shell)
    assert completer is not None
    click.echo(completer(main, {}, "nanokube", "_NANOKUBE_COMPLETE").source())
