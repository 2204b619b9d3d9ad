"""`nanokube doctor`: what this host has and lacks, with the exact remedy."""

import click
from rich.console import Console

from nanokube.cli import settings
from nanokube.roles import checks


@click.command()
def doctor() -> None:
    """Check kernel, cgroups, tools, ports and ranges; exits with 1 if the node could not start."""
    console = Console(highlight=False)
    failed = False
    for result in checks.run_all(settings.current_or_default()):
        mark = "[green]ok  [/]" if result.is_ok else "[red]FAIL[/]" if result.is_fatal else "[yellow]warn[/]"
        console.print(f"{mark} {result.name:<16} {result.found}")
        if not result.is_ok:
            console.print(f"     remedy: {result.remedy}", markup=False)
            failed = failed or result.is_fatal
    raise SystemExit(1 if failed else 0)
