"""`python -m ibdrop` is `ibdrop`."""

import sys

from ibdrop.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
