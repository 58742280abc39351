"""provctl: infrastructure workflows in Nickel and Nushell, crash-proof."""

from __future__ import annotations

__version__ = "0.1.0"
