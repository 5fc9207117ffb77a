"""Running one study: what is next, what runs, how far it is; whoever runs the trials asks and tells it."""
