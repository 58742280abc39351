"""Owns values that wait for outputs: what refers to what, and what it becomes.

A value is JSON. These records, with exactly one key, are filled in later:

    {"$output": {"task": "server-1", "path": "net.0.ip"}}   another task's output
    {"$format": ["http://{}:{}", [value, ...]]}             text with values in it

and these are conditions, for `when`, beside plain true and false:

    {"$equals": [a, b]}  {"$less": [a, b]}  {"$contains": [list or text, item]}
    {"$not": c}  {"$all": [c, ...]}  {"$any": [c, ...]}

`provctl.ncl` writes them (`p.output`, `p.format`, `p.equals`, ...). Everything
here walks with a list of its own, never with the stack.
"""

from __future__ import annotations
