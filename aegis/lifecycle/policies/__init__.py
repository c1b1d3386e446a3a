"""Which policy decides now in a workspace: the teacher, the HRM that serves, or a candidate; loaded and wrapped.

resolver     which policy decides now, for `run`, `start` and the prompt
loading      a workspace's teacher, and any version of its HRM
background   the next version loaded beside the policy that still decides
exploration  versions loaded to draw their actions, while phase 4 learns
deferring    an HRM with its teacher behind it
canary       a share of the decisions made by a candidate
tempered     actions drawn from the HRM's probabilities at a temperature
keeping      actions of its base that an improved version may not unlearn
aside        a teacher asked in a thread of its own
guard        a policy's failures told from all others, and the pauses after them
"""
