"""`python -m stress`: tries all kinds, prints a table, and ends with 1 where something failed."""

import sys

from stress.command import main

if __name__ == "__main__":
    sys.exit(main())
