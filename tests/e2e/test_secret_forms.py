"""Secrets are redacted in logs and outputs also when a program has encoded them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import pytest

from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

# Each of its signs is written in another way somewhere.
VALUE = "p@ss-w0rd/+&<x>\"y'z%_.~$Q"
ENVIRON = {"MY_TOKEN": VALUE, "NO_TOKEN": "none-of-it"}

NUSHELL = (
    "$env.V",
    "$env.V | url encode",
    "$env.V | url encode --all",
    "{k: $env.V} | url build-query",
    "$env.V | encode base64",
    "$env.V | encode base64 --nopad",
    "$env.V | encode base64 --url",
    "$env.V | encode base64 --url --nopad",
    '"a" + $env.V | encode base64',
    '"ab" + $env.V | encode base64',
    "$env.V | into binary | encode hex",
    "$env.V | into binary | encode hex --lower",
    "$env.V | to json",
    "$env.V | to nuon",
    "[[k]; [$env.V]] | to csv",
    "[[k]; [$env.V]] | to html --partial",
    "{tag: k, content: [$env.V]} | to xml",
)
OTHERS = (
    'echo "$V"',
    'printf %s "$V" | base64',
    'printf "%q\\n" "$V"',
    'echo "${V@Q}"',
    "jq -nr 'env.V | @uri'",
    "jq -nr 'env.V | @uri' | sed 's/%../\\L&/g'",
    "jq -nr 'env.V | @html'",
    "jq -nr 'env.V | @sh'",
    "jq -n 'env.V'",
)


def forms_of(provctl: Provctl, given: Dict[str, Any]) -> Dict[str, str]:
    """What a run with a task for each form shows: its line, log and output."""
    scripts: Dict[str, Any] = {
        f"n{number:02}": {"script": f"let it = ({line}); print $it; {{it: $it}}"}
        for number, line in enumerate(NUSHELL)
    }
    commands: Dict[str, Any] = {
        f"o{number:02}": {"command": ["bash", "-c", line]}
        for number, line in enumerate(OTHERS)
    }
    tasks = {name: {**task, **given} for name, task in {**scripts, **commands}.items()}
    run = provctl("run", provctl.file(tasks), "-o", "json", env=ENVIRON).json()["id"]
    outputs = provctl("workflow", "outputs", run, "-o", "json").json()
    seen = {}
    for name, line in zip(tasks, (*NUSHELL, *OTHERS)):
        seen[line] = provctl("logs", run, name, "--raw").out.strip()
        if name in scripts:
            seen[f"output of {line}"] = outputs[name]["it"].strip()
    return seen


def test_every_encoded_form_of_a_secret_is_redacted(provctl: Provctl) -> None:
    need("jq")
    open_ = forms_of(provctl, {"env": {"V": VALUE}})
    empty = forms_of(provctl, {"env": {"V": ""}})
    covered = forms_of(provctl, {"secrets": {"V": "env:MY_TOKEN"}})
    for line, text in covered.items():
        assert len(text) == len(open_[line]), line
        shown = text.replace("*", "")
        # What stands around it, and of base64 a character that is not its alone.
        assert len(shown) <= len(empty[line].strip("=")) + 3, (line, text)
        assert "*" * len(VALUE) in text, (line, text)


@pytest.mark.parametrize("reference", ["env:MY_TOKEN", "env:NO_TOKEN"])
def test_control_other_values_are_not_redacted(
    provctl: Provctl, reference: str
) -> None:
    need("jq")
    given = {"env": {"V": VALUE.replace("p@ss", "0pen")}, "secrets": {"T": reference}}
    shown = forms_of(provctl, given)
    assert len(set(shown.values())) > len(NUSHELL) // 2
    assert not [line for line, text in shown.items() if "***" in text]


def test_secret_that_is_not_utf_8_is_refused(provctl: Provctl) -> None:
    task = {"command": ["sh", "-c", "echo $T"], "secrets": {"T": "env:MY_TOKEN"}}
    raw = {"MY_TOKEN": b"passw\xf6rd".decode("utf-8", "surrogateescape")}
    out = provctl("run", provctl.file({"a": task}), env=raw, code=10).out
    assert "secret T: the environment variable MY_TOKEN must be UTF-8 text" in out
