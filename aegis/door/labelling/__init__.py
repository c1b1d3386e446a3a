"""The lines of a large log labelled by a teacher: many at once, in the log's order, resumed after a kill.

row     one line of the log, and the line that it becomes
output  the file of the labelled lines, and how far it is
labeller  asks for the labels and writes them
"""
