"""What the HRM is compared with, each with the settings that its search tries.

rival      the interface: a rival learns, and what it learned answers
simple     counts, tables, regressions, trees: scikit-learn
sentences  MiniLM's sentence embeddings
tracer     TRACER, on the same embeddings
reader     a plain transformer and a mean of embeddings, which read as the HRM does
trained    the HRM itself, with four segments and with one
bag        hashed n-grams, as fastText has them
names      all of them, by name
"""
