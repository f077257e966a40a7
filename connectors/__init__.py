"""Code that offers tools for one service each. Sees neither the database nor Flask."""
