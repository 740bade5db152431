"""Window banks: how unlike normal life is the window of several channels that ends here?"""

from jamais.detectors.windows.blaming import Blame, blame, places
from jamais.detectors.windows.described.grid import ChannelScale
from jamais.detectors.windows.settings import BankSettings
from jamais.detectors.windows.window_banks import Look, WindowBanks

__all__ = ["BankSettings", "Blame", "ChannelScale", "Look", "WindowBanks", "blame", "places"]
