"""Where things lie: the workspace folder, the cards of its models, content-addressed objects."""
