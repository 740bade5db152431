"""What must be kept of a training run so that it can go on as if it had never stopped?"""

from jamais.learning.training_state.epoch_order import EpochOrder
from jamais.learning.training_state.progress import EarlyStopping, Progress
from jamais.learning.training_state.random_numbers import RandomNumbers
from jamais.learning.training_state.schedule import Schedule
from jamais.learning.training_state.whole import Stateful, TrainingState

__all__ = ["EarlyStopping", "EpochOrder", "Progress", "RandomNumbers", "Schedule", "Stateful", "TrainingState"]
