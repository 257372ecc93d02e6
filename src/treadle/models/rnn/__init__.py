"""The rnn family: LSTM and GRU layers on a residual stream. README.md says what each setting computes."""
