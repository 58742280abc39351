"""`provctl bundle`: what the archive contains, and that it always works."""

from __future__ import annotations

import json
import stat
import tarfile
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.installed import Provctl

SECRET = "correct-horse-battery-staple"
VALUE = "not-for-everybody"


def unpacked(place: Path) -> Dict[str, str]:
    """The files of a bundle by name, without its folder."""
    found = {}
    with tarfile.open(place) as archive:
        for entry in archive.getmembers():
            content = archive.extractfile(entry)
            assert content is not None
            found[entry.name.partition("/")[2]] = content.read().decode()
    return found


def failed_run(provctl: Provctl) -> str:
    tasks: Dict[str, Any] = {
        "bad": {
            "command": ["sh", "-c", "echo the last words; exit 3", VALUE],
            "secrets": {"TOKEN": "env:MY_TOKEN"},
        }
    }
    return provctl.submit(
        provctl.file(tasks, params={"p": VALUE}),
        "--wait",
        env={"MY_TOKEN": SECRET, "PROVCTL_NUSHELL_ENV_VARS": f"PASS={VALUE}"},
        code=10,
    )


def test_bundle_has_what_a_bug_report_needs_but_no_values(provctl: Provctl) -> None:
    run = failed_run(provctl)
    log = provctl.log(run)
    log.write_text(log.read_text() + SECRET)  # as if masking had missed it
    secrets = {"MY_TOKEN": SECRET, "PROVCTL_NUSHELL_ENV_VARS": f"PASS={VALUE}"}
    done = provctl("bundle", run, env=secrets)
    place = provctl.folder / done.out.strip()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    found = unpacked(place)
    assert all(name in done.err for name in found)
    assert found["run/journal.jsonl"].count("\n") == len(provctl.journal(run))
    assert "the last words" in found["run/attempts/0.1.log"]
    assert json.loads(found["run/attempts/0.1.go"])["exit_code"] == 3
    for words in (f"== status {run}", "exit code 3", "== explain", "VERDICT"):
        assert words in found["run/said.txt"]
    assert "provctl" in json.loads(found["versions.json"])
    assert "executor.max_concurrent_tasks" in json.loads(found["config.json"])
    assert found["scheduler/log"]
    whole = "\n".join(found.values())
    assert SECRET not in whole
    assert VALUE not in whole
    token = (provctl.state / "scheduler" / "token").read_text().strip()
    assert token not in whole
    # The control: with the values they are there, the secret is not.
    wanted = provctl("bundle", run, "--with-inputs", "-O", "b.tgz", env=secrets)
    assert wanted.out == "b.tgz\n"
    whole = "\n".join(unpacked(provctl.folder / "b.tgz").values())
    assert VALUE in whole
    assert SECRET not in whole


def test_bundle_does_not_overwrite_an_existing_file(provctl: Provctl) -> None:
    provctl.text("mine", "mine")
    said = provctl("bundle", "--to", "mine", code=2).err
    assert "mine: this file already exists" in said
    assert (provctl.folder / "mine").read_text() == "mine"


def test_output_flag_with_a_file_name_gives_a_hint(provctl: Provctl) -> None:
    said = provctl("bundle", "--output", "b.tgz", code=2).err
    assert "'b.tgz' is not one of" in said
    assert "To write to a file, use -O/--to FILE" in said
    assert not (provctl.folder / "b.tgz").exists()
    rows = provctl("bundle", "-O", "b.tgz", "--output", "json").json()
    assert rows[0]["file"] == "b.tgz"
    # The control: a command that writes no file does not speak of one.
    assert "FILE" not in provctl("list", "-o", "b.tgz", code=2).err


def test_dry_run_writes_nothing(provctl: Provctl) -> None:
    run = failed_run(provctl)
    before = sorted(provctl.folder.iterdir())
    rows = provctl("bundle", run, "--dry-run", "-o", "json").json()
    assert {"versions.json", "run/journal.jsonl"} <= {row["name"] for row in rows}
    assert sorted(provctl.folder.iterdir()) == before


def test_bundle_works_with_a_damaged_run_and_a_broken_configuration(
    provctl: Provctl,
) -> None:
    run = failed_run(provctl)
    provctl("scheduler", "stop")
    journal = provctl.state / "runs" / run / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:300] + b"X" + content[301:])
    broken = provctl.text("broken.toml", "[executor\n")
    provctl("bundle", run, "--config", broken, "-O", "b.tgz")
    found = unpacked(provctl.folder / "b.tgz")
    assert found["run/journal.jsonl"].encode() == journal.read_bytes()
    assert "error: " in found["run/said.txt"]
    assert "broken.toml" in json.loads(found["config.json"])["error"]
    assert "broken.toml" in found["doctor.txt"]
    assert "damaged" in found["run/said.txt"]
    assert journal.read_bytes() != content


def test_bundle_without_a_run_describes_the_machine(provctl: Provctl) -> None:
    provctl("bundle", "-O", "b.tgz")
    found = unpacked(provctl.folder / "b.tgz")
    assert not [name for name in found if name.startswith("run/")]
    assert "state directory" in found["doctor.txt"]
    assert not provctl.state.exists()


def test_bundle_leaves_out_the_arguments_of_hooks(provctl: Provctl) -> None:
    hook = ["curl", "-d@-", f"https://chat.example/{SECRET}"]
    file = provctl.text(
        "hooks.toml", f"[hooks]\non_run_finished = [{json.dumps(hook)}]"
    )
    provctl("bundle", "--config", file, "-O", "b.tgz")
    found = unpacked(provctl.folder / "b.tgz")
    settings = json.loads(found["config.json"])["hooks.on_run_finished"]
    assert settings["value"] == [["curl", "(2 omitted)"]]
    assert SECRET not in "\n".join(found.values())
