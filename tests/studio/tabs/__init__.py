"""The tabs People, History and Code, and the whole page by keyboard."""
