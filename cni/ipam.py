"""Calls the IPAM plugin that a network configuration names: ours in this process, another's as a process."""

import json
import os
import subprocess

from cni.skel import PLUGINS, Args, CniError, Code, Json, load

_SECONDS_MAX = 30


def add(args: Args) -> Json:
    if _name(args) in PLUGINS:
        return load(_name(args)).add(args)
    return _execute(args, "ADD") or {}


def delete(args: Args) -> None:
    if _name(args) in PLUGINS:
        load(_name(args)).delete(args)
    else:
        _execute(args, "DEL")


def check(args: Args) -> None:
    if _name(args) in PLUGINS:
        load(_name(args)).check(args)
    else:
        _execute(args, "CHECK")


def gc(args: Args) -> None:
    if _name(args) in PLUGINS:
        load(_name(args)).gc(args)
    else:
        _execute(args, "GC")


def status(args: Args) -> None:
    if _name(args) in PLUGINS:
        load(_name(args)).status(args)
    else:
        _execute(args, "STATUS")


def _name(args: Args) -> str:
    ipam = args.config.get("ipam")
    name = ipam.get("type") if isinstance(ipam, dict) else None
    if not isinstance(name, str) or not name or "/" in name:
        raise CniError(Code.INVALID_CONFIG, "no ipam.type in network configuration")
    return name


def _execute(args: Args, command: str) -> Json | None:
    """Run a foreign IPAM plugin. Source: SPEC.md section 4, plugin delegation."""
    program = next((p for d in args.path if os.access(p := os.path.join(d, _name(args)), os.X_OK)), None)
    if program is None:
        raise CniError(Code.INVALID_CONFIG, f"no plugin {_name(args)!r} in CNI_PATH")
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": args.container_id,
        "CNI_NETNS": args.netns,
        "CNI_IFNAME": args.ifname,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in args.args.items()),
        "CNI_PATH": os.pathsep.join(args.path),
        "PATH": os.environ.get("PATH", os.defpath),
    }
    try:
        done = subprocess.run(
            [program],
            input=json.dumps(args.config).encode(),
            env=env,
            capture_output=True,
            timeout=_SECONDS_MAX,
        )
        answer = json.loads(done.stdout) if done.stdout.strip() else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as err:
        raise CniError(Code.IO_FAILURE, f"cannot run ipam plugin {_name(args)}", str(err)) from err
    if done.returncode:
        text = str((answer or {}).get("msg") or done.stderr[:200])
        raise CniError(Code.IO_FAILURE, f"ipam plugin {_name(args)} failed", text)
    found: Json | None = answer
    return found
