#!/usr/bin/env bash
# Run inside the virtual machine of scripts/vm-test: a whole cluster on pure cgroup v2 under systemd, on the kernel
# that Debian 12 ships, through its life: up, demonstration, killed runtime, reset, and nothing left behind.
set -euo pipefail

fail() {
  echo "FAILED: $*"
  tail -n 30 /var/log/nanokube/*.log || true
  journalctl -u nanokube --no-pager | tail -n 60
  exit 1
}

links_before="$(ip -o link | wc -l)"
nanokube doctor || fail doctor
nanokube up || fail up
systemctl is-active nanokube || fail "the unit is not active"
nanokube demo || fail demo
pods="$(pgrep -f 'httpd -f' | sort)"
[ -n "$pods" ] || fail "no process of a Pod"
grep -rqs 67108864 /sys/fs/cgroup/nanokube/pods --include=memory.max || fail "no memory limit on cgroup v2"

kill -9 "$(cut -d' ' -f1 /run/nanokube/cri.pid)" "$(cat /run/nanokube/node.pid)"
for _ in $(seq 120); do
  sleep 1
  nanokube status >/dev/null 2>&1 && break
done
nanokube status || fail "not Ready again after the launcher and the runtime were killed"
[ "$(pgrep -f 'httpd -f' | sort)" = "$pods" ] || fail "Pods did not outlive the daemons"

nanokube reset --yes || fail reset
for path in /etc/nanokube /var/lib/nanokube /run/nanokube /sys/fs/cgroup/nanokube /etc/systemd/system/nanokube.service; do
  [ ! -e "$path" ] || fail "$path is left"
done
[ -z "$(nft list tables)" ] || fail "tables are left"
[ "$(ip -o link | wc -l)" = "$links_before" ] || fail "links are left"
! pgrep -f 'nanokube|-m cri' | grep -v $$ || fail "processes are left"
echo "a whole life on $(uname -r), cgroup v2, systemd: ok"
