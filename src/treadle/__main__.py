"""`python -m treadle` is the command `treadle`, for a Python whose scripts are not on the path."""

from __future__ import annotations

from treadle.cli.main import main

if __name__ == "__main__":
    main()
