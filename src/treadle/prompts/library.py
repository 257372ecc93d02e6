"""The prompts of a workspace: a folder for each name, a file for each version."""

from __future__ import annotations

import dataclasses
import re
import secrets
import time
from typing import TYPE_CHECKING

from treadle.base.errors import NotFoundError, TreadleError, UsageError
from treadle.base.files import locked, read_json, remove_leftovers, write_json
from treadle.base.names import check_name, did_you_mean
from treadle.prompts.record import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_VERSION = re.compile(r"(\d{6})\.json")


class PromptLibrary:
    """Stored prompts under `folder`; deleted ones go to `trash`."""

    def __init__(self, folder: Path, trash: Path) -> None:
        """Open the library; the folder is made with the first prompt."""
        self._folder = folder
        self._trash = trash

    def names(self) -> list[str]:
        """Names of all prompts, in the order of the alphabet."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir() and self._numbers(path))

    def versions(self, name: str) -> list[int]:
        """Numbers of the versions of one prompt; raises `NotFoundError`."""
        numbers = self._numbers(self._folder / check_name("prompt", name))
        if not numbers:
            known = self.names()
            hint = did_you_mean(name, known) or " `treadle prompt list` shows those there are."
            raise NotFoundError(f"No prompt called `{name}`.{hint}")
        return numbers

    def get(self, name: str, version: int | None = None) -> Prompt:
        """One version, the newest unless told otherwise; raises `NotFoundError` and `DataError`."""
        numbers = self.versions(name)
        number = numbers[-1] if version is None else version
        if number not in numbers:
            raise NotFoundError(f"`{name}` has no version {number}; it has {numbers[0]} to {numbers[-1]}.")
        path = self._file(name, number)
        return Prompt.from_json(read_json(path), path)

    def add(self, prompt: Prompt) -> Prompt:
        """Store a new prompt, or a new version of one whose `parent` is its newest; returns it with its number.

        Raises `UsageError` if the name is taken, or if somebody stored another version meanwhile. A version that says
        just what its parent says is not stored again: the parent is returned.
        """
        folder = self._folder / check_name("prompt", prompt.name)
        with locked(self._folder / ".lock"):
            numbers = self._numbers(folder)
            if prompt.parent is None and numbers:
                raise UsageError(
                    f"There is a prompt called `{prompt.name}` already. "
                    f"Make a version of it with `treadle prompt edit {prompt.name}`, or choose another name."
                )
            if prompt.parent is not None and (not numbers or numbers[-1] < prompt.parent):
                raise NotFoundError(f"`{prompt.name}` has no version {prompt.parent}; it was deleted meanwhile.")
            if prompt.parent is not None:
                parent = self.get(prompt.name, prompt.parent)
                if parent.id == prompt.id and parent.tags == prompt.tags:
                    return parent
            made = dataclasses.replace(
                prompt, version=(numbers[-1] if numbers else 0) + 1, created=prompt.created or time.time()
            )
            if folder.is_dir():
                remove_leftovers(folder)
            write_json(self._file(prompt.name, made.version), made.to_json())
        return made

    def delete(self, name: str) -> Path:
        """Move a prompt with all its versions to the trash; returns where it lies."""
        self.versions(name)
        target = self._trash / f"prompt-{name}-{secrets.token_hex(2)}"
        with locked(self._folder / ".lock"):
            self.versions(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).rename(target)
        return target

    def search(self, words: Sequence[str], tag: str | None = None) -> tuple[list[Prompt], list[str]]:
        """Newest versions in whose name, text, negative text or tags all the words stand, in any case.

        The second list says what is wrong with those that cannot be read.
        """
        wanted = [word.casefold() for word in words]
        found, damaged = [], []
        for name in self.names():
            try:
                prompt = self.get(name)
            except TreadleError as error:
                damaged.append(str(error))
                continue
            said = "\n".join((name, prompt.text, prompt.negative or "", *prompt.tags)).casefold()
            if (tag is None or tag in prompt.tags) and all(word in said for word in wanted):
                found.append(prompt)
        return found, damaged

    def _file(self, name: str, version: int) -> Path:
        return self._folder / name / f"{version:06d}.json"

    @staticmethod
    def _numbers(folder: Path) -> list[int]:
        if not folder.is_dir():
            return []
        return sorted(int(match[1]) for path in folder.iterdir() if (match := _VERSION.fullmatch(path.name)))
