"""Which reader opens which format. A new reader is one file beside this one, and one line here.

Formats go by the name of an extension; `formats.py` tells them by content. A reader is a function
`read(path, settings) -> Iterator[Document | Refusal]`. Readers of what is not plain text run in a process of their own.
"""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

# fmt: off
CODE_EXTENSIONS = frozenset({
    ".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cs", ".rs", ".go", ".java", ".kt", ".scala",
    ".swift", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".rb", ".pl", ".pm", ".php", ".lua", ".r", ".jl", ".hs", ".ml",
    ".lisp", ".el", ".clj", ".sh", ".bash", ".zsh", ".fish", ".sql", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf",
    ".css", ".scss", ".cmake", ".mk", ".diff", ".patch",
})
# fmt: on
# A file without an extension (README, LICENSE) is tried as text too.
TEXT_EXTENSIONS = CODE_EXTENSIONS | {
    *(".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".log", ".srt", ".vtt"),
}

READERS = Catalogue(
    "reader",
    {
        **dict.fromkeys(TEXT_EXTENSIONS, "treadle.data.readers.text:read"),
        ".html": "treadle.data.readers.html_page:read",
        ".xml": "treadle.data.readers.xml_text:read",
        ".pdf": "treadle.data.readers.pdf:read",
        ".epub": "treadle.data.readers.epub:read",
        ".docx": "treadle.data.readers.docx:read",
        ".csv": "treadle.data.readers.tables:read_csv",
        ".tsv": "treadle.data.readers.tables:read_tsv",
        ".json": "treadle.data.readers.json_rows:read",
        ".jsonl": "treadle.data.readers.json_rows:read_lines",
        ".parquet": "treadle.data.readers.parquet:read",
        ".eml": "treadle.data.readers.mail:read",
        ".mbox": "treadle.data.readers.mail:read_mailbox",
        ".zip": "treadle.data.readers.archive:read",
        ".tar": "treadle.data.readers.tarball:read",
        **dict.fromkeys((".gz", ".bz2", ".xz", ".zst"), "treadle.data.readers.packed:read"),
    },
)
