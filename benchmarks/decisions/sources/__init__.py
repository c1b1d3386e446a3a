"""Where the suite's decisions come from, a module for each package that has no module of its own beside this folder.

grid    BabyAI's levels, decided by the package's bot
home    sentences of Home Assistant's intents
menu    how many calls a message of the function-calling leaderboard needs
"""
