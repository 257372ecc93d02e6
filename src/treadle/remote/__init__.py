"""Work on other machines: connections, files, detached runs and containers, behind a synchronous face."""
