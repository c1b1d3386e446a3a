"""What the agent knows and wants to know: goals, open questions, knowledge, and the queries that it asked.

goals       drawn from topics, reached when enough of their questions are closed
curiosity   open questions: raised and closed; terms: what in a passage is worth asking about
knowledge   what was read or told, without duplicates; resemblance: how alike two texts read
queries     what was asked lately, and other words for it
"""
