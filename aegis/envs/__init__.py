"""Any Gymnasium environment with discrete actions: its expert recorded, learned, and measured by whole episodes.

agent       `from_gymnasium`: collect, train, evaluate, improve
episode     episodes played, many environments in step
improvement phase 4 from the rewards of the HRM's own episodes
evaluation  success and return with their intervals

It works in a decision point's own workspace, so `aegis.Decider` and the commands continue with what it made.
"""

from aegis.envs.agent import GymnasiumAgent, from_gymnasium
from aegis.envs.episode import Episode, Expert, choose_at_random
from aegis.envs.evaluation import Evaluation
from aegis.envs.improvement import EPISODIC, ImprovementResult

__all__ = [
    "EPISODIC",
    "Episode",
    "Evaluation",
    "Expert",
    "GymnasiumAgent",
    "ImprovementResult",
    "choose_at_random",
    "from_gymnasium",
]
