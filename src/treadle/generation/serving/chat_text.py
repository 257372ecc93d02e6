"""From the messages of a chat to one text: what `treadle chat` makes of them, or a template of the model's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from treadle.base.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Template

    from treadle.generation.serving.requests import Message

NOTE = (
    "This model continues text: it learned from what it was fed, not to follow instructions. The messages were joined "
    "to one text, and it goes on from there."
)


class ChatText:
    """How the messages of one model become its prompt."""

    def __init__(self, template: str | None = None, source: str = "the chat template") -> None:
        """With a Jinja template as in `tokenizer_config.json`; without one the texts are joined as they come.

        Raises `DataError`, naming `source`, if it is no template.
        """
        self._template: Template | None = None
        if template is None:
            return
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise DataError(f"{source} is not a Jinja template ({error}). Mend it, or remove it.") from error

    @property
    def note(self) -> str | None:
        """What people should know of answers, None where a template says that the model was made for chats."""
        return NOTE if self._template is None else None

    def render(self, messages: Iterable[Message]) -> str:
        """The text that the model goes on from; raises `UsageError` for messages that the template refuses."""
        if self._template is None:
            return joined(messages)
        turns: list[dict[str, Any]] = [{"role": one.role, "content": one.text()} for one in messages]
        try:
            return self._template.render(messages=turns, add_generation_prompt=True, bos_token="", eos_token="")
        except TemplateError as error:
            raise UsageError(f"The model's chat template refuses these messages: {error}.") from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            raise UsageError(f"The model's chat template fails on these messages ({error}).") from error


def joined(messages: Iterable[Message]) -> str:
    """One text as `treadle chat` writes it: each message on a line of its own, each answer right after its question."""
    text = ""
    for message in messages:
        said = message.text()
        if message.role != "assistant" and text and said and not text.endswith("\n"):
            text += "\n"
        text += said
    return text


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
