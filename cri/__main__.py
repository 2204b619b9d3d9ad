"""`python -m cri`."""

import sys

from cri.main import main

if __name__ == "__main__":
    sys.exit(main())
