"""How apps follow an edit: its state as an answer, polls, long polls and server-sent events. Routes import this room.

All of them read one log per job and show the same sequence numbers. What a poll has seen is remembered until the job changes, for
five seconds at most; so a poll without news answers 304 without asking Redis. All streams of an edit send the bytes of one feed
(`feeds.py`), and the number of open streams and long polls is bounded (`connections.py`). After a loss of Redis, sequences go on
above the time in milliseconds, and a stream reports the gap.
"""
