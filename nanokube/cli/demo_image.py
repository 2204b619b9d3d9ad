"""Assembles the demonstration's image on this host: a static busybox and a script that serves the Pod's name.

The image is an OCI archive, for `nanokube image import`. Its files come from Debian's package busybox-static.
"""

import gzip
import hashlib
import io
import json
import platform
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REFERENCE = "localhost/nanokube/demo:1"  # a tag that is not `latest`: the kubelet pulls only what is missing
PORT = 8080

_PT_INTERP = 3  # include/uapi/linux/elf.h: only dynamic executables have it
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The shell stays PID 1: httpd has no SIGTERM handler, and the kernel shields a PID 1 without one.
_SERVER = f"""#!/bin/sh
www=$(mktemp -d)
echo "${{POD_NAME:-$(hostname)}}" > "$www/index.html"
httpd -f -p "${{PORT:-{PORT}}}" -h "$www" &
trap 'kill $!' TERM INT
wait $!
"""

_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_DIRECTORIES = {name: 0o755 for name in ("bin", "dev", "etc", "home", "proc", "run", "sys", "usr", "var")} | {
    "root": 0o700,
    "tmp": 0o1777,
}


def build(target: Path, busybox: Path | None = None) -> str:
    """Write the archive and return the image's reference.

    busybox: a static busybox; by default the host's, else that of the distribution's package busybox-static.
    Raises OSError, ValueError when none is static, subprocess.CalledProcessError when the download fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program = busybox or _host_busybox() or _download(Path(scratch))
        if not is_static(program.read_bytes()):
            raise ValueError(f"cannot build image: {program} is not a static executable")
        applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True, timeout=30)
        target.write_bytes(archive(layer(program.read_bytes(), applets.stdout.split())))
    return REFERENCE


def layer(busybox: bytes, applets: list[str]) -> bytes:
    """Render the only layer, a tar stream. Applets are hard links, so masking one leaves the others. Pure."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode in sorted(_DIRECTORIES.items()):
            _add(tar, name, mode, kind=tarfile.DIRTYPE)
        _add(tar, "bin/busybox", 0o755, busybox)
        for applet in sorted({*applets} - {"busybox"}):
            _add(tar, f"bin/{applet}", 0o755, kind=tarfile.LNKTYPE, link="bin/busybox")
        _add(tar, "bin/demo-server", 0o755, _SERVER.encode())
        for name, text in _FILES.items():
            _add(tar, name, 0o644, text.encode())
    return out.getvalue()


def archive(content: bytes) -> bytes:
    """Wrap a layer into an OCI layout with the demonstration's config, as a tar stream. Pure."""
    packed = gzip.compress(content, 6, mtime=0)
    config = _json(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": ["/bin/demo-server"], "Env": [f"PATH={_PATH}"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
            "history": [{"created_by": "nanokube demo image"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
        }
    )
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    annotated = {**entry, "annotations": {"io.containerd.image.name": REFERENCE}}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "oci-layout", 0o644, _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", 0o644, _json({"schemaVersion": 2, "manifests": [annotated]}))
        for blob in (config, manifest, packed):
            _add(tar, "blobs/" + _digest(blob).replace(":", "/"), 0o644, blob)
    return out.getvalue()


def is_static(program: bytes) -> bool:
    """Tell whether a 64-bit little-endian ELF executable asks for no dynamic linker. Pure. Source: elf(5)."""
    if program[:6] != b"\x7fELF\x02\x01":
        return False
    (offset,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, offset + size * index)[0] for index in range(count)]
    return _PT_INTERP not in kinds


def _host_busybox() -> Path | None:
    found = shutil.which("busybox")
    if found is None:
        return None
    path = Path(found).resolve()
    return path if is_static(path.read_bytes()) else None


def _download(scratch: Path) -> Path:
    subprocess.run(["apt-get", "download", "busybox-static"], cwd=scratch, check=True, capture_output=True)
    (package,) = scratch.glob("busybox-static_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, scratch / "tree"], check=True, capture_output=True)
    for name in ("bin/busybox", "usr/bin/busybox"):
        if (scratch / "tree" / name).exists():
            return scratch / "tree" / name
    raise FileNotFoundError("cannot build image: no busybox in package busybox-static")


def _add(
    tar: tarfile.TarFile,
    name: str,
    mode: int,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, link, len(data)
    tar.addfile(info, io.BytesIO(data))


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
