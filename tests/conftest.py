"""What tests of several rooms share: short-lived background workers, a folder in memory, a Postgres cluster."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

os.environ["TREADLE_WORKER_IDLE_SECONDS"] = "3"  # workers in the background end soon after the last job
os.environ["TREADLE_ENGINE_IDLE_SECONDS"] = "3"  # and so do the processes that sample
os.environ["TREADLE_JOB_NICENESS"] = (
    "0"  # tests wait for jobs; those that step back for other tests take many times longer
)
os.environ["OMP_WAIT_POLICY"] = (
    "PASSIVE"  # torch's threads do not spin while they wait for one that another test holds up
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Coverage is that of the tests' own processes. Measuring the hundreds of programs that they start, too, costs a
    # third of the time of the whole suite.
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        os.environ.pop(name, None)
_USERS = ("postgres", "nobody")  # Postgres refuses to run as root


@pytest.fixture
def quick_folder(tmp_path):
    """A folder in memory if there is one: syncing to it costs nothing, and most tests need not wait for a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - only looked at
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="treadle-test-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_server():
    """URL of a private cluster on loopback, in a temporary folder; it lives as long as the tests of this process."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    if not programs and found is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql, or TREADLE_TEST_INSTALL=1 scripts/test)")
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    folder = Path(programs[-1] if programs else Path(found).parent)
    unprivileged = {}
    root = Path(tempfile.mkdtemp(prefix="treadle-postgres-"))
    if os.geteuid() == 0:
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in _USERS if name in known), None)
        if user is None:
            pytest.skip(f"Postgres does not run as root, and none of the users {', '.join(_USERS)} exists")
        unprivileged = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        shutil.chown(root, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = root / "data", root / "log"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": root,
        "fsync": "off",  # what is tested is what we do, not whether Postgres is durable
        "max_connections": 40,
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": root, **unprivileged}
    try:
        made = ["-D", data, "-U", "treadle", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run([folder / "initdb", *made], **quiet)
        subprocess.run([folder / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], **quiet)
        try:
            yield f"postgresql://treadle@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **quiet)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server, request):
    """URL of an empty ledger in that cluster: a schema of its own."""
    import psycopg

    schema = f"t{os.getpid()}_{abs(hash(request.node.nodeid)) % 10**12}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{postgres_server}?options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def site_server():
    """The module of the web site that tests crawl; see `site_server.py`."""
    found = importlib.util.spec_from_file_location("site_server", Path(__file__).parent / "site_server.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["site_server"] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture
def site(site_server):
    """A web site on loopback without pages."""
    made = site_server.Site()
    yield made
    made.close()


@pytest.fixture
def manual(site):
    """The site with 31 pages of SQLite's documentation."""
    for path in (Path(__file__).parent / "data" / "site").glob("*.html"):
        site.pages[f"/{path.name}"] = path.read_bytes()
    return site


@pytest.fixture(scope="session")
def ssh_servers():
    """The module of the SSH server that tests connect to; see `ssh_server.py`."""
    found = importlib.util.spec_from_file_location("ssh_server", Path(__file__).parent / "ssh_server.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["ssh_server"] = module
    found.loader.exec_module(module)
    pytest.importorskip("asyncssh", reason="the extra `remote` is not installed")
    if module.PROGRAM is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server, or TREADLE_TEST_INSTALL=1 scripts/test)")
    return module


@pytest.fixture(scope="module")
def ssh_server(ssh_servers):
    """An SSH server on loopback for the tests of one file: `ssh_server.card()` is its host, `cut()` cuts the links."""
    memory = Path("/dev/shm")  # noqa: S108 - only looked at
    folder = Path(tempfile.mkdtemp(prefix="treadle-ssh-", dir=memory if os.access(memory, os.W_OK) else None))
    made = ssh_servers.SshServer(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def checkpoints_for():
    """Lays down stand-ins for the checkpoints that cosmos-transfer1 needs for some controls; returns their paths."""
    from types import SimpleNamespace

    from treadle.video.transfer.backends import transfer1_checkpoints

    def laid(folder, *kinds):
        spec = SimpleNamespace(distilled=False, kinds=kinds)
        names = [*transfer1_checkpoints.needed(spec), *transfer1_checkpoints.GUARDRAIL]
        paths = [Path(folder, name, "model" if name.endswith("/") else "") for name in names]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
        return paths

    return laid
