#!/usr/bin/env bash
# Run inside the virtual machine of scripts/vm-test: the tests with real namespaces of the runtime, the images and the
# network plugins, on pure cgroup v2 with all of root's capabilities. Arguments go to pytest.
set -uo pipefail
if [ "$#" -eq 0 ]; then set -- tests/root/cri tests/root/images tests/root/cni; fi
mount --make-rshared /
pytest -q -p no:cacheprovider --durations=10 "$@"
