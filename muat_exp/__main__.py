"""`python -m muat_exp`."""

import sys

from muat_exp.app.main import main

if __name__ == "__main__":
    sys.exit(main())
