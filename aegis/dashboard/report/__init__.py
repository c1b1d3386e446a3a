"""The dashboard as files, for a mail or a paper.

record      what the page shows of every place, by the functions that answer the page
document    one HTML file with the page's own scripts and that record; nothing is loaded from elsewhere
plot        the charts of Learning as PNG files
"""
