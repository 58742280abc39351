"""Builds the single file: an interpreter, its libraries, provctl, and a launcher.

    python .ci/single/build.py SITE PATCHELF

It carries the Python that runs this, whatever of its machine's libraries that needs,
down to the dynamic linker, and the packages in the folder SITE. The tree is made in
`build/single/tree`, the file is `dist/provctl`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path
from site import getsitepackages
from typing import Iterator, NamedTuple, Sequence

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TREE = ROOT / "build" / "single" / "tree"
RESULT = ROOT / "dist" / "provctl"

# What of the standard library no program needs, or only one with windows.
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__",
    "config-*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "nis.*",  # alone needs six libraries
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtle*",
    "_ctypes_test*",
    "_test*",
    "_tkinter*",
    "xx*",
)
# A path of the kernel's greatest length, in place of the dynamic linker's.
PLACEHOLDER = "/" + "x" * 4094
MARK = b"\nprovctl single\n"
COMMANDS = {
    "provctl": "from provctl.cli.main import main\n\nmain()\n",
    "provisioning-orchestrator": "from provctl.cli.main import orchestrator\n\norchestrator()\n",
}


class Packed(NamedTuple):
    """What the launcher carries, and the name of what it unpacks."""

    records: bytes
    data: bytes
    key: str


def main() -> None:
    """Build the file and say how large it is."""
    site, patchelf = Path(sys.argv[1]).resolve(), sys.argv[2]
    shutil.rmtree(TREE, ignore_errors=True)
    copy_python(site)
    compile_interpreter()
    linker = gather_libraries(patchelf)
    compile_modules()
    packed = pack()
    compile_launcher(packed, linker)
    size = RESULT.stat().st_size / 1e6
    sys.stdout.write(f"{RESULT.relative_to(ROOT)}: {size:.1f} MB, {packed.key}\n")


def run(command: Sequence[object]) -> str:
    """Run a command to its end and return its output; if it fails, so does all."""
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


# -- the tree ---------------------------------------------------------------------------


def copy_python(site: Path) -> None:
    """Copy the standard library, the packages and the commands."""
    library = TREE / "lib" / f"python{sysconfig.get_python_version()}"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=LEFT_OUT)
    # Where this Python looks for them: Debian's in another folder than all others.
    packages = Path(getsitepackages([str(TREE)])[-1])
    ignored = shutil.ignore_patterns("__pycache__", "bin", "made-of")
    shutil.copytree(site, packages, ignore=ignored)
    shutil.copytree(ROOT / "provctl", packages / "provctl", ignore=ignored)
    (TREE / "bin").mkdir()
    for name, text in COMMANDS.items():
        (TREE / "bin" / name).write_text(text)
    (TREE / "lock").touch()


def compile_interpreter() -> None:
    """Make `bin/python`, which finds its libraries beside it."""
    known = sysconfig.get_config_var
    # DT_RPATH, not DT_RUNPATH: it counts for what extension modules need, too.
    linking = ["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib", "-rdynamic", "-s"]
    linking += [f"-Wl,--dynamic-linker,{PLACEHOLDER}"]
    linking += [f"-L{known('LIBPL')}", f"-L{known('LIBDIR')}"]
    # Whole, where it is an archive: extension modules use more than Python itself.
    library = f"-lpython{known('LDVERSION')}"
    linking += ["-Wl,--whole-archive", library, "-Wl,--no-whole-archive"]
    linking += shlex.split(f"{known('LIBS')} {known('SYSLIBS')}")
    python = TREE / "bin" / "python"
    run(["gcc", "-O2", "-Wall", "-Werror", HERE / "python.c", *linking, "-o", python])


def gather_libraries(patchelf: str) -> str:
    """Copy all shared libraries that the tree needs; return the linker's path in it."""
    linker = Path(run([patchelf, "--print-interpreter", sys.executable]).strip())
    libraries = TREE / "lib"
    shutil.copy(linker, libraries)
    for library in sorted({*needed(TREE / "bin" / "python"), *needed_by_modules()}):
        if library.name != linker.name:
            shutil.copy(library, libraries)
    for library in [*libraries.glob("*.so*"), *libraries.glob("python*/lib-dynload/*")]:
        if library.name != linker.name:
            run(["strip", "--strip-unneeded", library])
            # Else it would look where its libraries are on the machine of the build.
            run([patchelf, "--remove-rpath", library])
    return f"lib/{linker.name}"


def needed_by_modules() -> Iterator[Path]:
    """Yield the libraries of all extension modules."""
    for module in (TREE / "lib").glob("python*/**/*.so"):
        yield from needed(module)


def needed(program: Path) -> Iterator[Path]:
    """Yield the libraries of one file that are not in the tree. They have to exist."""
    environ = {**os.environ, "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")}
    command = [str(linker_of_this()), "--list", str(program)]
    said = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environ
    ).stdout
    if "not found" in said:
        sys.exit(f"error: {program}:\n{said}")
    for path in re.findall(r"=> (/.*) \(0x", said):
        if TREE not in Path(path).parents:
            yield Path(path)


def linker_of_this() -> Path:
    """The dynamic linker that is mapped into this process."""
    maps = Path("/proc/self/maps").read_text()
    (path,) = set(re.findall(r"/\S*/ld-linux\S*", maps))
    return Path(path)


def compile_modules() -> None:
    """Compile all modules. Nothing is written beside them later, nor compared."""
    mode = ["--invalidation-mode", "unchecked-hash", "-s", TREE, "-j", "0"]
    run([sys.executable, "-m", "compileall", "-q", *mode, TREE / "lib"])


# -- the file ----------------------------------------------------------------------------


def pack() -> Packed:
    """Write the index and the data of the tree as launcher.c reads them."""
    index, data, folders = [], [], set()
    for path in sorted(files(TREE)):
        for folder in reversed(path.relative_to(TREE).parents[:-1]):
            if folder not in folders:
                folders.add(folder)
                index.append(f"d 0 {folder}")
        kind = "x" if is_program(path) else "f"
        index.append(f"{kind} {path.stat().st_size} {path.relative_to(TREE)}")
        data.append(path.read_bytes())
    packed = zlib.compress(b"".join(data))
    names = "".join(f"{line}\0" for line in index).encode()
    version = re.search(
        r'^__version__ = "(.*)"',
        (ROOT / "provctl" / "__init__.py").read_text(),
        re.MULTILINE,
    )
    assert version is not None
    launcher = (HERE / "launcher.c").read_bytes()
    content = hashlib.sha256(names + packed + launcher).hexdigest()[:16]
    return Packed(names, packed, f"{version[1]}-{content}")


def files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())


def is_program(path: Path) -> bool:
    """Whether a file is executed: Python, and the linker that starts it."""
    return path == TREE / "bin" / "python" or path.name.startswith("ld-")


def compile_launcher(packed: Packed, linker: str) -> None:
    """Make `dist/provctl`."""
    python = (TREE / "bin" / "python").read_bytes()
    room = PLACEHOLDER.encode() + b"\0"
    assert python.count(room) == 1
    texts = {"KEY": packed.key, "LINKER": linker}
    values = {"LINKER_AT": python.index(room), "LINKER_ROOM": len(room)}
    defined = [f'-D{k}="{v}"' for k, v in texts.items()]
    defined += [f"-D{k}={v}" for k, v in values.items()]
    RESULT.parent.mkdir(exist_ok=True)
    aside = RESULT.with_suffix(".new")
    flags = ["-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror"]
    run(["gcc", *flags, *defined, HERE / "launcher.c", "-lz", "-o", aside])
    with aside.open("ab") as file:
        file.write(packed.records + packed.data)
        sizes = len(packed.records), len(packed.data), zlib.crc32(packed.records)
        file.write(struct.pack("=QQQ16s", *sizes, MARK))
    aside.replace(RESULT)


if __name__ == "__main__":
    main()
