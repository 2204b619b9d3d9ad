# Sourced by scripts/vm-lab. Makes the disk that all machines begin with: Debian 12 from packages, a checkout and
# what scripts/install would fetch, as the machines reach no network but their own.
#
# shellcheck shell=bash
# Sets: place (directory of everything that is kept).

packages="systemd,systemd-sysv,dbus,python3,python3-venv,nftables,busybox-static,libseccomp2,iproute2,procps,kmod"
packages+=",iputils-ping,sudo,etcd-server,etcd-client"

make_system() {
  local root="$place/root"
  [ "$(cat "$place/.packages" 2>/dev/null)" != "$packages" ] || return 0
  say "debootstrap bookworm (two minutes)"
  rm -rf "$root" "$root.new"
  # In a mount namespace of its own: what it mounts is gone even if it is killed.
  unshare --mount debootstrap --variant=minbase --include="$packages,linux-image-cloud-amd64" bookworm "$root.new" \
    >"$place/debootstrap.log"
  ln -sf /dev/null "$root.new/etc/systemd/system/serial-getty@ttyS0.service" # the console is the machine's log
  ln -sf /dev/null "$root.new/etc/systemd/system/etcd.service"               # Debian's own; nanokube runs another
  ln -sf /dev/null "$root.new/etc/systemd/system/apt-daily.timer"
  echo '/dev/vda / ext4 defaults 0 1' >"$root.new/etc/fstab"
  mv "$root.new" "$root"
  printf '%s' "$packages" >"$place/.packages"
}

install_checkout() {
  local root="$place/root" wanted
  wanted="$(sha256sum <pyproject.toml)"
  if [ "$(cat "$place/.wheels" 2>/dev/null)" != "$wanted" ] || [ ! -d "$root/opt/nanokube/.venv" ]; then
    say "Python packages (a minute)"
    rm -rf "$root/opt/nanokube"
    fetch_wheels "$place" editables
    mkdir -p "$root/opt/nanokube"
  fi
  say "copying the checkout"
  find "$root/opt/nanokube" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | xargs -0 tar --ignore-failed-read -c |
    tar x -C "$root/opt/nanokube"
  mkdir -p "$root/opt/wheels"
  cp "$place"/wheels/*.whl "$root/opt/wheels/"
  chroot "$root" env PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/wheels /opt/nanokube/scripts/install
  rm -rf "$root/opt/wheels"
  # Natively: an emulated machine would need a minute for it.
  chroot "$root" /opt/nanokube/.venv/bin/python -m compileall -q /opt/nanokube/{cri,cni,nanokube}
  # What the lab needs beside: stock kubectl without Python's start, the Pods' image.
  chroot "$root" /opt/nanokube/.venv/bin/python -c '
import os, pathlib
from nanokube.cli import demo_image, kubectl
demo_image.build(pathlib.Path("/opt/demo.tar"))
pathlib.Path("/opt/kubectl").unlink(missing_ok=True)
os.symlink(kubectl.find(), "/opt/kubectl")'
  printf '%s' "$wanted" >"$place/.wheels"
}

install_agent() {
  local units="$place/root/etc/systemd/system"
  cp scripts/vm/agent.py "$place/root/opt/agent.py"
  cat >"$units/vm-network.service" <<'UNIT'
[Unit]
Description=name and addresses
DefaultDependencies=no
After=systemd-udev-settle.service local-fs.target
Wants=systemd-udev-settle.service
Before=network.target network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /opt/agent.py configure
UNIT
  cat >"$units/vm-agent.service" <<'UNIT'
[Unit]
Description=takes the lab's commands
After=vm-network.service
Requires=vm-network.service
[Service]
ExecStart=/usr/bin/python3 /opt/agent.py
Restart=always
KillMode=process
UNIT
  mkdir -p "$units/multi-user.target.wants"
  ln -sf ../vm-agent.service ../vm-network.service "$units/multi-user.target.wants/"
}

make_disk() {
  say "disk"
  : >"$place/root/etc/machine-id" # each machine draws its own
  rm -f "$place/base.img" "$place"/*.qcow2 # what --keep left differs from the former one
  mke2fs -q -t ext4 -F -d "$place/root" "$place/base.img.new" 5G >/dev/null
  mv "$place/base.img.new" "$place/base.img"
}
