# Sourced by scripts/vm-lab and scripts/vm-test.
#
# shellcheck shell=bash

# fetch_wheels PLACE REQUIREMENT...: puts what nanokube and the requirements need into PLACE/wheels, as Debian 12's
# Python takes it, whatever this host's is; in PLACE/builder is a pip. What went wrong is in PLACE/pip.log.
fetch_wheels() {
  local place="$1"
  shift
  rm -rf "$place/wheels" "$place/builder"
  python3 -m venv "$place/builder"
  "$place/builder/bin/python" -c '
import tomllib
found = tomllib.load(open("pyproject.toml", "rb"))
print(*found["project"]["dependencies"], *found["build-system"]["requires"], sep="\n")' >"$place/requirements.txt"
  "$place/builder/bin/pip" download -q -d "$place/wheels" --python-version 3.11 --only-binary :all: \
    -r "$place/requirements.txt" "$@" >"$place/pip.log" 2>&1 || {
    tail -n 5 "$place/pip.log" >&2
    return 1
  }
}
