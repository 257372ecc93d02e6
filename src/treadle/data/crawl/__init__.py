"""Crawling: a durable frontier, polite fetching, and what of a site becomes documents."""
