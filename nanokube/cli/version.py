"""`nanokube version`."""

import importlib.metadata

import click

KUBERNETES_VERSION = "v1.36"


@click.command()
def version() -> None:
    """Print the versions of nanokube and of the API it speaks."""
    click.echo(f"nanokube {importlib.metadata.version('nanokube')} (Kubernetes API {KUBERNETES_VERSION})")
