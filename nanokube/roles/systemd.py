"""The node as a systemd service, on hosts that run systemd.

KillMode=process: stopping or restarting the service ends the launcher, which ends its components; the
runtime's keeper and the containers go on, as `nanokube down` and not the service manager decides about them.
When the host goes down the launcher ends them, last of all (cleanup.end_containers).
"""

import subprocess
import sys
from pathlib import Path

UNIT = "nanokube.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT

TEXT = """\
[Unit]
Description=nanokube: a complete small Kubernetes node
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart={python} -m nanokube.cli node
WorkingDirectory=/
KillMode=process
Delegate=yes
Restart=always
RestartSec=1
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def is_running() -> bool:
    """Tell whether systemd manages this host (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def is_going_down() -> bool:
    """Tell whether the host shuts down or reboots, in a service that is stopped."""
    if not is_running():
        return False
    done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"


def is_active() -> bool:
    """Tell whether the node's service runs."""
    return _systemctl("is-active", "--quiet", UNIT, check=False) == 0


def install_and_start() -> None:
    """Write the unit file if it is not there as it should be, and start the service now and at boot."""
    text = TEXT.format(python=sys.executable)
    if not UNIT_FILE.exists() or UNIT_FILE.read_text() != text:
        UNIT_FILE.write_text(text)
        _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", UNIT)
    _systemctl("start", "--no-block", UNIT)


def stop() -> None:
    """Stop the service; it starts again at the next boot unless uninstalled."""
    _systemctl("stop", UNIT)


def uninstall() -> None:
    """Remove the unit, if it was installed."""
    if UNIT_FILE.exists():
        _systemctl("disable", "--quiet", UNIT, check=False)
        UNIT_FILE.unlink()
        _systemctl("daemon-reload")


def reload_logind() -> None:
    """Have logind read its settings again."""
    if is_running():
        _systemctl("kill", "--signal=SIGHUP", "systemd-logind.service", check=False)


def _systemctl(*arguments: str, check: bool = True) -> int:
    return subprocess.run(["systemctl", *arguments], check=check).returncode
