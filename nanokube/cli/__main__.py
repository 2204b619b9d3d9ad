"""`python -m nanokube.cli`: the same as the `nanokube` command."""

from nanokube.cli.main import main

main(prog_name="nanokube")
