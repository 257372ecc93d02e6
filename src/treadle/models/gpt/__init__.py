"""The gpt family: a decoder-only transformer. README.md says what each setting computes."""
