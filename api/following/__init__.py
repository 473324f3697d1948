"""How apps follow an edit: its state as an answer, polls that cost nothing, and server-sent events. Routes import this room."""
