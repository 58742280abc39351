"""The configuration files published by the platform load unchanged."""

from __future__ import annotations

from typing import Callable

from provctl.config.load import LoadedSettings

Load = Callable[..., LoadedSettings]

CORE_OLD = """
# /usr/local/share/provisioning/config/config.defaults.toml

[orchestrator]
enabled = true
endpoint = "http://localhost:9090"
timeout = 60
auto_start = true # Start orchestrator if not running

[execution]
default_mode = "orchestrated" # Use orchestrator by default
fallback_to_direct = true # Fall back if orchestrator down
"""

PLATFORM_OLD = """
# /usr/local/share/provisioning/platform/config.toml

[orchestrator]
host = "127.0.0.1"
port = 8080
data_dir = "/var/lib/provisioning/orchestrator"

[executor]
nushell_binary = "nu" # Expects nu in PATH
provisioning_lib = "/usr/local/lib/provisioning"
max_concurrent_tasks = 10
task_timeout_seconds = 3600
"""

CORE = """
[orchestrator]
enabled = true
endpoint = "http://localhost:9090"
timeout_seconds = 60
auto_start = true
fallback_to_direct = true

[execution]
# Modes: "direct", "orchestrated", "auto"
default_mode = "auto" # Auto-detect based on complexity

# Operations that always use orchestrator
force_orchestrated = [
"server.create",
"cluster.create",
"batch.*",
"workflow.*"
]

# Operations that always run direct
force_direct = [
"*.list",
"*.show",
"help",
"version"
]
"""

PLATFORM = """
[server]
host = "127.0.0.1"
port = 8080

[storage]
backend = "filesystem" # or "surrealdb"
data_dir = "/var/lib/provisioning/orchestrator"

[executor]
max_concurrent_tasks = 10
task_timeout_seconds = 3600
checkpoint_interval_seconds = 30

[nushell]
binary = "nu" # Expects nu in PATH
provisioning_lib = "/usr/local/lib/provisioning"
env_vars = { NU_LIB_DIRS = "/usr/local/lib/provisioning" }
"""


def test_first_listing_of_the_core_package_loads(load: Load) -> None:
    settings = load(CORE_OLD).settings
    assert settings.orchestrator.enabled is True
    assert settings.endpoint == "http://localhost:9090"
    assert settings.orchestrator.timeout_seconds == 60
    assert settings.orchestrator.fallback_to_direct is True
    assert settings.execution.default_mode == "orchestrated"


def test_first_listing_of_the_platform_package_loads(load: Load) -> None:
    settings = load(PLATFORM_OLD).settings
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.storage.data_dir == "/var/lib/provisioning/orchestrator"
    assert settings.nushell.binary == "nu"
    assert settings.nushell.provisioning_lib == "/usr/local/lib/provisioning"
    assert settings.executor.max_concurrent_tasks == 10


def test_second_listing_of_the_core_package_loads(load: Load) -> None:
    settings = load(CORE).settings
    assert settings.execution.force_direct == ("*.list", "*.show", "help", "version")
    assert settings.execution.force_orchestrated[0] == "server.create"
    assert settings.orchestrator.timeout_seconds == 60


def test_second_listing_of_the_platform_package_loads(load: Load) -> None:
    settings = load(PLATFORM).settings
    assert settings.server.port == 8080
    assert settings.storage.backend == "filesystem"
    assert settings.executor.checkpoint_interval_seconds == 30
    assert settings.nushell.env_vars == {"NU_LIB_DIRS": "/usr/local/lib/provisioning"}


def test_both_listings_of_a_package_have_the_same_meaning(load: Load) -> None:
    old = load(PLATFORM_OLD).settings
    new = load(PLATFORM).settings
    assert old.server == new.server
    assert old.storage == new.storage
    assert old.executor == new.executor


def test_core_and_platform_may_share_one_file(load: Load) -> None:
    settings = load(CORE + PLATFORM).settings
    assert settings.execution.default_mode == "auto"
    assert settings.server.port == 8080


def test_default_port_is_the_one_clients_use(load: Load) -> None:
    assert load("").settings.endpoint == "http://127.0.0.1:9090"
