"""The flows of known assistants, as their makers describe them, against a house whose clock and web are the test's."""
