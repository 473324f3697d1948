"""Instructions such as "make her hair red", which are refused, and descriptions that say the same. English only; loads no torch.

instructions       whether a prompt is an instruction
suggestions        an instruction rephrased as a description
descriptions       a subject with traits as a description
keeping            clauses that ask to keep the rest
"""
