"""`aegis init`: an example of an agent of one's own, to be changed.

command  writes the example into a folder
agent    the example itself, a script that runs by itself
"""
