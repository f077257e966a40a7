"""The catalogue of bad inputs and attacks, row by row, over HTTP."""
