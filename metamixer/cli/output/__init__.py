"""What commands print: one file a command, loaded when it runs, so that --help stays light."""
