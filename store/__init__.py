"""One file per noun. SQL lives here; no Flask, no sockets."""
