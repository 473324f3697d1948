"""Learning a concept from one photo: `learning` has the steps, `learner` what they optimise, `losses` L_semantic.

`learning_state` stores an unfinished learning, so that another process can resume it. `lbfgs` is the optimiser of the stage before
the first step. This room imports none of `method` beside it.
"""
