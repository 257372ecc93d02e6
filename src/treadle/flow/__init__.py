"""Flow: plain-Markdown working memory that keeps itself true; the file is the truth, edits are splices."""
