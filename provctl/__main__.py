"""Lets `python -m provctl` be the command."""

from __future__ import annotations

from provctl.cli.main import main

if __name__ == "__main__":
    main()
