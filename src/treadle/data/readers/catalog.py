"""Which reader opens which file, by extension. A new reader is one file beside this one, and one line here.

A reader is a function `read(path) -> Iterator[Document | Refusal]`.
"""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

# A file without an extension (README, LICENSE) is tried as text too.
# fmt: off
TEXT_EXTENSIONS = frozenset({
    ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".log", ".srt", ".vtt", ".py", ".pyi", ".c",
    ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cs", ".rs", ".go", ".java", ".kt", ".scala", ".swift", ".js",
    ".mjs", ".ts", ".tsx", ".jsx", ".rb", ".pl", ".pm", ".php", ".lua", ".r", ".jl", ".hs", ".ml", ".lisp", ".el",
    ".clj", ".sh", ".bash", ".zsh", ".fish", ".sql", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".css",
    ".scss", ".cmake", ".mk", ".diff", ".patch",
})
# fmt: on

READERS = Catalogue(
    "reader",
    {
        **dict.fromkeys(TEXT_EXTENSIONS, "treadle.data.readers.text:read"),
        ".zip": "treadle.data.readers.archive:read",
    },
)
