"""The chain of hashes over what a workspace records, by which a later change shows.

columns  a decision or an outcome as the columns of its row
link     the hash of a row, and the link from one to the next; written by triggers, in the row's own transaction
batch    decisions appended together: their rows, links and sums by one statement each
check    a workspace's rows compared with its chain
proof    the chain beside the records of an exported file
file     such a file checked
erasure  rows erased for a person's sake, which the chain still leads over
field    fields of a state by their names, also within strings that hold JSON

A digest is the SHA-256 of a row's kind, its place in its table and its columns. A link is the SHA-256 of the link
before it and of the row's digest. So the newest link, the head, stands for everything before it. Whoever may write the
database can make a whole new chain. An auditor who has noted the head elsewhere sees that.
"""
