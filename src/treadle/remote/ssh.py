"""A host over SSH: one connection, made when it is needed and made anew when it was cut. Only known keys are let in.

asyncssh runs in a thread of its own; what callers see is synchronous. Nothing else in Treadle knows it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from treadle.base.errors import DataError, MissingExtraError, NotFoundError
from treadle.base.files import disk_errors, sync_folder
from treadle.base.hashing import hash_bytes, hash_file
from treadle.base.units import size as readable
from treadle.remote.hosts import fingerprint
from treadle.remote.transport import Finished, HostError, HostFullError, HostKeyError, LinkError

try:
    import asyncssh
except ModuleNotFoundError as error:
    if error.name != "asyncssh":
        raise
    raise MissingExtraError("Hosts over SSH need an optional part: pip install 'treadle[remote]'.") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence
    from pathlib import Path
    from typing import Any

    from treadle.remote.hosts import HostCard

_Result = TypeVar("_Result")
_CONNECT_SECONDS: Final = 20.0
_SIGNS_OF_LIFE: Final = 3
_PIECE: Final = 8 << 20
"""Bytes that are under way at a time; what was cut is sent again from the beginning of its piece."""
_CUT: Final = (OSError, asyncssh.DisconnectError, asyncssh.ChannelOpenError)


class SshTransport:
    """One connection to one host."""

    def __init__(self, card: HostCard) -> None:
        """Know how to reach `card`; nothing is connected yet."""
        self._card = card
        self._connection: asyncssh.SSHClientConnection | None = None
        self._files: asyncssh.SFTPClient | None = None
        self._lock = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh {card.name}", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """See `Transport`."""
        return f"`{self._card.name}`"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished:
        """See `Transport`."""
        return self._wait_for(self._run(shlex.join(argv), stdin, timeout))

    def put(self, local: Path, remote: str) -> str:
        """See `Transport`."""
        return self._wait_for(self._put(local, remote, hash_file(local), local.stat().st_size))

    def put_bytes(self, data: bytes, remote: str, mode: int = 0o644) -> str:
        """See `Transport`."""
        return self._wait_for(self._put_bytes(data, remote, mode))

    def get(self, remote: str, local: Path, sha256: str | None = None) -> str:
        """See `Transport`."""
        wanted = sha256 or self._wait_for(self._hash(remote))
        if wanted is None:
            raise HostError(f"{self.host} has no file {remote}.")
        with disk_errors(local):
            if local.is_file() and hash_file(local) == wanted:
                return wanted
            local.parent.mkdir(parents=True, exist_ok=True)
            part = local.parent / f".{local.name}.{wanted[:16]}.part"
            self._wait_for(self._fetch(remote, part))
            if hash_file(part) != wanted:
                part.unlink()
                raise HostError(f"{remote} on {self.host} is not what was announced, or was damaged. Try again.")
            part.replace(local)
            sync_folder(local.parent)
        return wanted

    def read(self, remote: str, offset: int, most: int) -> bytes:
        """See `Transport`."""
        return self._wait_for(self._read(remote, offset, most))

    def exists(self, remote: str) -> bool:
        """See `Transport`."""
        return self._wait_for(self._exists(remote))

    def size(self, remote: str) -> int | None:
        """See `Transport`."""
        return self._wait_for(self._size(remote))

    def close(self) -> None:
        """See `Transport`."""
        if self._loop.is_closed():
            return
        self._wait_for(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._files = None
                self._connection = await connected(self._card)
            return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()

    async def _run(self, command: str, stdin: bytes, timeout: float | None) -> Finished:  # noqa: ASYNC109 - not ours
        connection = await self._connected()
        given: dict[str, Any] = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}
        try:
            done = await connection.run(command, encoding=None, timeout=timeout, **given)
        except asyncssh.TimeoutError as error:
            return Finished(None, _bytes(error.stdout), _bytes(error.stderr) or b"it took too long")
        except _CUT as error:
            return Finished(None, b"", str(error).encode())
        code = done.returncode
        return Finished(code if code is None or code >= 0 else 128 - code, _bytes(done.stdout), _bytes(done.stderr))

    @asynccontextmanager
    async def _sftp(self, path: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """The file side of the connection; its errors come out as ours, naming `path`."""
        connection = await self._connected()
        try:
            if self._files is None:
                self._files = await connection.start_sftp_client()
            yield self._files
        except asyncssh.SFTPNoSuchFile as error:
            raise HostError(f"{self.host} has no file {path}.") from error
        except asyncssh.SFTPPermissionDenied as error:
            raise HostError(f"{self.host} does not let {self._card.user} at {path}. Check its rights there.") from error
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, *_CUT) as error:
            raise LinkError(f"The link to {self.host} broke at {path} ({error}). Try again.") from error
        except asyncssh.SFTPError as error:
            free = await self._free(path)
            if free is not None and free < _PIECE:
                raise HostFullError(
                    f"No space left on {self.host} for {path}: {readable(free)} are free. Make room, then try again."
                ) from error
            raise HostError(f"{self.host} refused {path}: {error}.") from error

    async def _free(self, path: str) -> int | None:
        done = await self._run(shlex.join(["df", "-Pk", path.rpartition("/")[0] or "."]), b"", 20.0)
        fields = done.out.decode(errors="replace").splitlines()[-1:]
        number = fields[0].split()[3:4] if fields else []
        return int(number[0]) * 1024 if number and number[0].isdigit() else None

    async def _put(self, local: Path, remote: str, wanted: str, length: int) -> str:
        async with self._sftp(remote) as files:
            if await self._size(remote) == length and await self._hash(remote) == wanted:
                return wanted
            part = _beside(remote, f"{wanted[:16]}.part")
            there = await self._size(part)
            if there is None:
                await _make_folder(files, remote)
            begin = (there - 1) // _PIECE * _PIECE if there and there <= length else 0
            await _send(files, local, part, begin)
            if await self._hash(part) != wanted and begin:
                await _send(files, local, part, 0)
            if await self._hash(part) != wanted:
                await files.remove(_raw(part))
                raise DataError(f"{local} changed while it was sent to {self.host}, or was damaged. Send it again.")
            await self._rename(files, part, remote)
        return wanted

    async def _put_bytes(self, data: bytes, remote: str, mode: int) -> str:
        async with self._sftp(remote) as files:
            part = _beside(remote, f"{secrets.token_hex(8)}.part")
            await _make_folder(files, remote)
            flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
            try:
                async with files.open(_raw(part), flags, asyncssh.SFTPAttrs(permissions=mode), encoding=None) as file:
                    await file.write(data)
                    await file.fsync()
            except asyncssh.SFTPError:
                await files.remove(_raw(part))
                raise
            await self._rename(files, part, remote)
        return hash_bytes(data)

    async def _rename(self, files: asyncssh.SFTPClient, part: str, remote: str) -> None:
        await files.posix_rename(_raw(part), _raw(remote))
        await self._run(shlex.join(["sync", remote.rpartition("/")[0] or "."]), b"", 60.0)

    async def _fetch(self, remote: str, part: Path) -> None:
        async with self._sftp(remote) as files:
            await _fetch(files, remote, part)

    async def _read(self, remote: str, offset: int, most: int) -> bytes:
        async with self._sftp(remote) as files:
            try:
                async with files.open(_raw(remote), asyncssh.FXF_READ, encoding=None) as file:
                    return _bytes(await file.read(most, offset))
            except asyncssh.SFTPNoSuchFile:
                return b""

    async def _exists(self, remote: str) -> bool:
        async with self._sftp(remote) as files:
            return await files.exists(_raw(remote))

    async def _size(self, remote: str) -> int | None:
        async with self._sftp(remote) as files:
            try:
                found = await files.stat(_raw(remote))
            except asyncssh.SFTPNoSuchFile:
                return None
            return found.size if found.type == asyncssh.FILEXFER_TYPE_REGULAR else None

    async def _hash(self, remote: str) -> str | None:
        """SHA-256 of a file as the host reads it; None if there is none. Its name goes through standard input."""
        done = await self._run("xargs -0 sha256sum -z --", _raw(remote) + b"\0", None)
        if done.code is None:
            raise LinkError(f"The link to {self.host} broke while {remote} was hashed. Try again.")
        return done.out[:64].decode("ascii", errors="replace") if done.code == 0 else None


async def connected(card: HostCard) -> asyncssh.SSHClientConnection:
    """A new connection to the host of `card`, which has proved to be itself; raises `HostKeyError` or `LinkError`."""
    if not card.host_key:
        raise HostKeyError(
            f"No key of host `{card.name}` was accepted. Add it: treadle host add {card.name} {card.place}"
        )
    known = asyncssh.import_public_key(card.host_key)
    chosen: dict[str, Any] = {} if card.key is None else {"client_keys": [card.key]}
    try:
        return await asyncssh.connect(
            card.address,
            card.port,
            username=card.user,
            known_hosts=([known], [], []),
            server_host_key_algs=_algorithms(known),
            config=None,
            keepalive_interval=card.keepalive,
            keepalive_count_max=_SIGNS_OF_LIFE,
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_CONNECT_SECONDS,
            **chosen,
        )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        shown = await _presented_key(card.address, card.port)
        raise HostKeyError(
            f"Host `{card.name}` ({card.place}) shows another key than the one that was accepted:\n"
            f"  accepted  {fingerprint(card.host_key)}\n  shown     {fingerprint(shown)}\n"
            "Nothing was sent. If the machine was set up anew, compare the fingerprint with its owner, then: "
            f"treadle host add {card.name} {card.place} --replace --accept {fingerprint(shown)}"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise HostError(
            f"Host `{card.name}` does not let {card.user} in ({error.reason}). Put your public key into "
            "~/.ssh/authorized_keys there, or name the right one: treadle host add ... --key FILE"
        ) from error
    except (asyncssh.KeyImportError, FileNotFoundError) as error:
        raise NotFoundError(
            f"The key {card.key or 'in ~/.ssh'} for host `{card.name}` cannot be used: {error}. One with a passphrase "
            "must be in ssh-agent: ssh-add FILE"
        ) from error
    except (TimeoutError, *_CUT, asyncssh.Error) as error:
        said = str(error) or "no answer"
        raise LinkError(
            f"Host `{card.name}` cannot be reached at {card.place}: {said}. Is it on? Is a firewall between?"
        ) from error


def presented_key(address: str, port: int) -> str:
    """The public key that a machine shows to anybody, unproved; raises `LinkError`."""
    return asyncio.run(_presented_key(address, port))


async def _presented_key(address: str, port: int) -> str:
    try:
        key = await asyncio.wait_for(asyncssh.get_server_host_key(address, port, config=None), _CONNECT_SECONDS)
    except (TimeoutError, *_CUT, asyncssh.Error) as error:
        said = str(error) or "no answer"
        raise LinkError(
            f"Nothing speaks SSH at {address}:{port}: {said}. Check the address, and whether it is on."
        ) from error
    if key is None:
        raise LinkError(f"The machine at {address}:{port} shows no key.")
    return key.export_public_key("openssh").decode("ascii").strip()


def _algorithms(key: asyncssh.SSHKey) -> list[str]:
    found = key.get_algorithm()
    return ["rsa-sha2-512", "rsa-sha2-256"] if found == "ssh-rsa" else [found]


def _beside(remote: str, ending: str) -> str:
    """A hidden name in the folder of `remote`."""
    folder, slash, name = remote.rpartition("/")
    return f"{folder}{slash}.{name}.{ending}"


async def _make_folder(files: asyncssh.SFTPClient, remote: str) -> None:
    """See that the folder of `remote` is there; one question where it is."""
    folder = remote.rpartition("/")[0]
    if folder and not await files.isdir(_raw(folder)):
        await files.makedirs(_raw(folder), exist_ok=True)


async def _send(files: asyncssh.SFTPClient, local: Path, part: str, begin: int) -> None:
    flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | (0 if begin else asyncssh.FXF_TRUNC)
    async with files.open(_raw(part), flags, encoding=None) as file:
        with local.open("rb") as source:
            source.seek(begin)
            while piece := source.read(_PIECE):
                await file.write(piece, begin)
                begin += len(piece)
        await file.truncate(begin)
        await file.fsync()


async def _fetch(files: asyncssh.SFTPClient, remote: str, part: Path) -> None:
    with part.open("ab") as target:
        async with files.open(_raw(remote), asyncssh.FXF_READ, encoding=None) as file:
            while piece := _bytes(await file.read(_PIECE, target.tell())):
                target.write(piece)
        target.flush()
        os.fsync(target.fileno())


def _raw(path: str) -> bytes:
    return os.fsencode(path)


def _bytes(data: object) -> bytes:
    return data if isinstance(data, bytes) else b""
