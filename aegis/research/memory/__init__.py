"""What the agent knows and wants to know: goals, open questions, knowledge, and the queries it has asked.

goals       drawn from topics, reached when enough of their questions are closed
curiosity   open questions, raised and closed; terms: the words of a passage that are worth a question
knowledge   what the agent has read or been told, without duplicates; resemblance: how alike two texts read
queries     the queries asked lately, and other words for them
"""
