"""`python -m cni <plugin>`: serve one execution of a plugin by the CNI protocol."""

import sys

from cni import skel

if __name__ == "__main__":
    sys.exit(skel.main(sys.argv[1] if len(sys.argv) == 2 else ""))
