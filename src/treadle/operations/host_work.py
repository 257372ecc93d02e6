"""Operations of the nouns host.image and host.checkpoints: what a host needs before it can carry out runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.hosts import HostReport, report
from treadle.operations.operation import operation
from treadle.registry.catalogue import load
from treadle.remote.hosts import HostCards
from treadle.store.workspace import WorkspaceFolder

_NAME = "name of the host"


@dataclass(frozen=True, slots=True)
class HostImagePayload:
    """Which image to get, and how."""

    host: str
    image: str
    """`NAME:VERSION` or `NAME@sha256:...`."""
    folder: str | None = None
    """Absolute path here of the folder to build from; None: it is pulled."""
    file: str = "Dockerfile"
    """Recipe of the image, in that folder."""


@dataclass(frozen=True, slots=True)
class HostCheckpointsPayload:
    """What to do with which checkpoints."""

    host: str
    verb: Literal["download", "verify", "manifest"]
    repositories: tuple[str, ...] = ()
    """`OWNER/NAME`, `OWNER/NAME@REVISION`, or the name of a set."""
    endpoint: str = ""
    md5: str | None = None
    """Absolute path here of a table of MD5 sums."""


@operation(
    "heavy",
    noun="host.image",
    examples=("treadle host image build lambda ~/cosmos-transfer1 --tag cosmos-transfer1:v1.0.0",),
    for_assistants=False,
)
def build(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    folder: Annotated[Path, "folder here to build from, with its Dockerfile"],
    *,
    tag: Annotated[str, "name and version of what is built, such as cosmos-transfer1:v1.0.0"],
    file: Annotated[str, "recipe of the image, in that folder"] = "Dockerfile",
) -> JobRequest:
    """Build an image on a host from a folder of this machine, and let the host's runs use it, by its digest."""
    source = folder.expanduser().absolute()
    if not (source / file).is_file():
        raise NotFoundError(f"{folder} has no file {file} to build from.")
    load("treadle.recipes.hosts:image_reference")(tag)
    if "@" in tag or tag.startswith("sha256:"):
        raise UsageError(
            "What is built gets a name and a version; its digest comes from what is in it: --tag NAME:v1.0.0"
        )
    return _image_request(workspace, "host.image.build", HostImagePayload(host, tag, str(source), file))


@operation(
    "heavy",
    noun="host.image",
    examples=("treadle host image pull lambda ghcr.io/example/cosmos-transfer1:v1.0.0",),
    for_assistants=False,
)
def pull(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    image: Annotated[str, "NAME:VERSION or NAME@sha256:...; never latest"],
) -> JobRequest:
    """Let a host fetch an image, and let its runs use it, by its digest."""
    load("treadle.recipes.hosts:image_reference")(image)
    return _image_request(workspace, "host.image.pull", HostImagePayload(host, image))


@operation(
    "light",
    noun="host.image",
    examples=("treadle host image pin lambda cosmos-transfer1:v1.0.0",),
    for_assistants=False,
)
def pin(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    image: Annotated[str, "NAME:VERSION, NAME@sha256:... or sha256:... of an image that is there"],
) -> HostReport:
    """Let the runs of a host use an image that is there already, by its digest: what it is now, for ever."""
    card = load("treadle.recipes.hosts:pin")(workspace, host, image)
    return report(workspace, card, f"Runs on `{host}` use {image} from now on: {card.image}")


@operation(
    "heavy",
    noun="host.checkpoints",
    examples=(
        "treadle host checkpoints download lambda transfer1",
        "treadle host checkpoints download lambda nvidia/Cosmos-Transfer1-7B@main facebook/sam2-hiera-large",
    ),
    for_assistants=False,
)
def download(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    repositories: Annotated[
        list[str], "OWNER/NAME or OWNER/NAME@REVISION on Hugging Face, or transfer1 for all it loads"
    ],
    *,
    endpoint: Annotated[str, "where they are, for a mirror of Hugging Face"] = "https://huggingface.co",
) -> JobRequest:
    """Let a host download checkpoints, each file compared with its announced hash and entered into the manifest.

    It goes on where it was cut. Repositories that ask for a licence need the host's --token-file.
    """
    wanted = load("treadle.recipes.host_checkpoints:repositories")(tuple(repositories))
    for name in wanted:
        if name.partition("@")[0].count("/") != 1 or name != name.strip():
            raise UsageError(f"`{name}` is no repository: write OWNER/NAME or OWNER/NAME@REVISION, or transfer1.")
    if not endpoint.startswith(("https://", "http://")):
        raise UsageError(f"--endpoint {endpoint} is no address of a server: https://...")
    payload = HostCheckpointsPayload(host, "download", tuple(wanted), endpoint)
    return _request(workspace, "host.checkpoints.download", host, asdict(payload))


@operation(
    "heavy",
    effect="reads",
    noun="host.checkpoints",
    examples=("treadle host checkpoints verify lambda", "treadle host checkpoints verify lambda --json"),
)
def verify(workspace: WorkspaceFolder, host: Annotated[str, _NAME]) -> JobRequest:
    """Read all checkpoints of a host again and compare them with the manifest: missing, changed, unknown."""
    return _request(workspace, "host.checkpoints.verify", host, asdict(HostCheckpointsPayload(host, "verify")))


@operation(
    "heavy",
    noun="host.checkpoints",
    examples=(
        "treadle host checkpoints manifest lambda",
        "treadle host checkpoints manifest lambda --md5 ~/cosmos-transfer1",
    ),
    for_assistants=False,
)
def manifest(
    workspace: WorkspaceFolder,
    host: Annotated[str, _NAME],
    *,
    md5: Annotated[
        Path | None,
        "table to compare with first: lines of md5sum, JSON, or a checkout of cosmos-transfer1 with its own",
    ] = None,
) -> JobRequest:
    """Enter the checkpoints that are on a host into its manifest: SHA-256 and size of each file.

    With a table of MD5 sums, what differs from it is left out and told.
    """
    table = None if md5 is None else md5.expanduser().absolute()
    if table is not None:
        load("treadle.recipes.host_manifest:read_md5_table")(table)
    payload = HostCheckpointsPayload(host, "manifest", md5=None if table is None else str(table))
    return _request(workspace, "host.checkpoints.manifest", host, asdict(payload))


def _image_request(workspace: WorkspaceFolder, kind: str, payload: HostImagePayload) -> JobRequest:
    card = HostCards(workspace).get(payload.host)
    if card.runtime is None:
        raise NotReadyError(
            f"Host `{card.name}` has neither docker nor podman. Install one there, then: treadle host add {card.name} "
            f"{card.place} --replace"
        )
    return _request(workspace, kind, payload.host, asdict(payload))


def _request(workspace: WorkspaceFolder, kind: str, host: str, payload: dict[str, Any]) -> JobRequest:
    card = HostCards(workspace).get(host)
    return JobRequest(workspace, card.queue, kind, payload, "light")
