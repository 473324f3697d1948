"""Learning a concept from one photo: `learning` has the steps, `learner` what they optimise, `losses` L_semantic.

`columns` learns an attribute as changes of its own columns, from `views` of its reference. `learned_prompts` computes the text side
of many users together. `learning_state` stores an unfinished learning, so that another process can resume it. `start` is the stage
before the first step, and `lbfgs` its optimiser. This room imports none of `method` beside it.
"""
