"""The studio at other addresses, with a key, and while its service loses processes or restarts."""
